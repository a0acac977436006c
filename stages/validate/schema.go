package validate

import (
	"fmt"
	"io/fs"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compile reads and compiles the schema at path, and whatever it refers to.
func compile(files fs.FS, path string) (*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(loader{files})
	location := url.URL{Scheme: "file", Path: "/" + path}
	schema, err := compiler.Compile(location.String())
	if err != nil {
		return nil, fmt.Errorf("compile schema %s: %w", path, err)
	}
	return schema, nil
}

// loader gives the compiler the configuration's files as if they lay at the root of a file system, and nothing else.
type loader struct{ files fs.FS }

// Load implements jsonschema.URLLoader.
func (l loader) Load(location string) (any, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("schema reference %q: %w", location, err)
	}
	if u.Scheme != "file" {
		return nil, fmt.Errorf("schema reference %s: a schema may refer to files of the configuration only", location)
	}
	file, err := l.files.Open(strings.TrimPrefix(u.Path, "/"))
	if err != nil {
		return nil, fmt.Errorf("open schema: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	return jsonschema.UnmarshalJSON(file)
}

// annotations are the fields of a compiled schema that assert nothing, and those that say where it stands.
var annotations = []string{
	"DraftVersion", "Location", "ID", "Anchor", "RecursiveAnchor", "DynamicAnchor",
	"Title", "Description", "Default", "Comment", "ReadOnly", "WriteOnly", "Examples", "Deprecated",
}

// shallow are the fields of a compiled schema of an object that do not look into what its properties hold.
var shallow = []string{
	"Types", "Required", "Properties", "MinProperties", "MaxProperties", "PropertyNames", "AdditionalProperties", "DependentRequired",
}

// ignoresPayload reports whether the schema surely says the same of every payload. It errs on the side of no.
func ignoresPayload(schema *jsonschema.Schema) bool {
	if schema.Bool != nil {
		return true // everything fits, or nothing does
	}
	if !hasOnly(schema, annotations, shallow) {
		return false
	}
	payload, described := schema.Properties["payload"]
	if !described {
		_, isSchema := schema.AdditionalProperties.(*jsonschema.Schema)
		return !isSchema
	}
	if payload.Bool != nil {
		return *payload.Bool
	}
	return hasOnly(payload, annotations)
}

// hasOnly reports whether every exported field of the schema that is set is among those named; fields that a later version
// of the library adds are not.
func hasOnly(schema *jsonschema.Schema, named ...[]string) bool {
	value := reflect.ValueOf(schema).Elem()
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if !field.IsExported() || value.Field(i).IsZero() {
			continue
		}
		if value.Field(i).Kind() == reflect.Map && value.Field(i).Len() == 0 {
			continue
		}
		if !slices.ContainsFunc(named, func(names []string) bool { return slices.Contains(names, field.Name) }) {
			return false
		}
	}
	return true
}

// absurdExponent finds a number whose exponent has more than three digits. Comparing such a number with a bound would make
// an integer of as many digits.
func absurdExponent(raw []byte) (exponent string, found bool) {
	inString := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == 'e' || c == 'E') && i > 0 && isDigit(raw[i-1]):
			digits := i + 1
			if digits < len(raw) && (raw[digits] == '+' || raw[digits] == '-') {
				digits++
			}
			end := digits
			for end < len(raw) && isDigit(raw[end]) {
				end++
			}
			if end-digits > 3 {
				return shorten(string(raw[i+1:end]), maxValue), true
			}
			i = end - 1
		}
	}
	return "", false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
