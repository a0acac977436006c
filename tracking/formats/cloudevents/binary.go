package cloudevents

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rastrohq/rastro/tracking/formats"
)

// prefix begins the names of the headers that hold attributes.
const prefix = "ce-"

// IsBinary reports whether the headers of a request say that it is an event in binary mode: they hold its attributes, and the
// body is its data.
func IsBinary(header http.Header) bool {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return header.Get(prefix+"specversion") != "" && (err != nil || !strings.HasPrefix(media, "application/cloudevents"))
}

// DecodeBinary reads an event in binary mode of the HTTP protocol binding (CloudEvents 1.0.2, section 3.1): attributes in headers
// that begin with ce-, with percent-encoding undone, and data in the body, of the Content-Type. A body of JSON is the payload
// byte for byte, text a JSON string, and anything else the JSON string of its Base64. The Field of a finding is the header.
func DecodeBinary(header http.Header, body []byte, opt formats.Options) ([]formats.Result, error) {
	media := header.Get("Content-Type")
	object := []byte{'{'}
	member := func(name string, value []byte) {
		if len(object) > 1 {
			object = append(object, ',')
		}
		object = append(append(append(object, quote(name)...), ':'), value...)
	}
	var wrong []formats.Finding
	refuse := func(field, code, message string) {
		wrong = append(wrong, formats.Finding{Field: field, Code: code, Message: message, Severity: formats.SeverityError})
	}
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, key := range names {
		name, ok := strings.CutPrefix(strings.ToLower(key), prefix)
		if !ok {
			continue
		}
		field, values := prefix+name, header[key]
		switch {
		case len(values) != 1:
			refuse(field, formats.CodeDuplicateField, field+" must stand once")
			continue
		case name == "data" || name == "data_base64" || name == "datacontenttype":
			refuse(field, formats.CodeUnknownField, "there is no header "+field+": in binary mode data is the body, and its type the Content-Type")
			continue
		}
		text, err := unescape(values[0])
		if err != nil || !utf8.ValidString(text) {
			refuse(field, formats.CodeFormat, field+" must be UTF-8 with percent-encoding, as in Lima%20Callao")
			continue
		}
		member(name, quote(text))
	}
	if media != "" {
		member("datacontenttype", quote(media))
	}
	if len(body) > 0 {
		if isJSON(media) {
			if !json.Valid(body) {
				return nil, invalid(body)
			}
			member("data", body)
		} else if strings.HasPrefix(media, "text/") && utf8.Valid(body) {
			member("data", quote(string(body)))
		} else {
			member("data_base64", quote(base64.StdEncoding.EncodeToString(body)))
		}
	}
	results, err := Decode(append(object, '}'), Single, opt)
	if err != nil {
		return nil, err
	}
	for i := range results[0].Findings {
		f := &results[0].Findings[i]
		if f.Field != "data" && f.Field != "" {
			f.Field, f.Message = prefix+f.Field, prefix+f.Message
		}
	}
	if len(wrong) > 0 {
		results[0].Event = nil
		all := append(wrong, results[0].Findings...)
		results[0].Findings = all[:min(len(all), formats.MaxFindings)]
	}
	return results, nil
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true // what CloudEvents takes data without a type for
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// invalid says where a body that is no JSON goes wrong.
func invalid(body []byte) error {
	if _, err := Decode(body, Any, formats.Options{}); err != nil {
		return err
	}
	return &formats.BodyError{Code: formats.CodeSyntax, Message: "the body must be JSON, as its Content-Type says", Line: 1}
}

func unescape(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' { // section 3.1.3.2: quotes of earlier versions are taken off
		s = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s[1 : len(s)-1])
	}
	return url.PathUnescape(s)
}

func quote(s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // cannot be: it is a string
	}
	return text
}
