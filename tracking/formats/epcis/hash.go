package epcis

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// hash returns the CBV 2.0 event hash: the same for one event however it is written, and without what is said of the event
// rather than of what happened (CBV 2.0, section 8.9.2).
func hash(event *wire.Node, names *names) string {
	sum := sha256.Sum256([]byte(prehash(event, names)))
	return "ni:///sha-256;" + hex.EncodeToString(sum[:]) + "?ver=CBV2.0"
}

// field is a field of the canonical order.
type field struct {
	name string
	// item is the name that each value of the list has; empty when each has that of the field.
	item   string
	fields []field
	words  *vocabulary
}

func quantities(name string) field {
	return field{name: name, item: "quantityElement", fields: []field{{name: "epcClass"}, {name: "quantity"}, {name: "uom"}}}
}

func epcs(name string) field { return field{name: name, item: "epc"} }

// order is the canonical order of the properties of an event.
var order = []field{
	{name: "eventTime"}, {name: "eventTimeZoneOffset"}, {name: "certificationInfo"}, {name: "parentID"}, epcs("epcList"),
	epcs("inputEPCList"), epcs("childEPCs"), quantities("quantityList"), quantities("childQuantityList"), quantities("inputQuantityList"),
	epcs("outputEPCList"), quantities("outputQuantityList"), {name: "action"}, {name: "transformationID"},
	{name: "bizStep", words: bizSteps}, {name: "disposition", words: dispositions},
	{name: "persistentDisposition", fields: []field{{name: "set", words: dispositions}, {name: "unset", words: dispositions}}},
	{name: "readPoint", fields: []field{{name: "id"}}}, {name: "bizLocation", fields: []field{{name: "id"}}},
	{name: "sensorElementList", item: "sensorElement", fields: []field{
		{name: "sensorMetadata", fields: []field{
			{name: "time"}, {name: "startTime"}, {name: "endTime"}, {name: "deviceID"}, {name: "deviceMetadata"}, {name: "rawData"},
			{name: "dataProcessingMethod"}, {name: "bizRules"},
		}},
		{name: "sensorReport", fields: []field{
			{name: "type", words: measurements}, {name: "exception", words: alerts}, {name: "deviceID"}, {name: "deviceMetadata"},
			{name: "rawData"}, {name: "dataProcessingMethod"}, {name: "bizRules"}, {name: "time"}, {name: "microorganism"},
			{name: "chemicalSubstance"}, {name: "value"}, {name: "component", words: components}, {name: "stringValue"},
			{name: "booleanValue"}, {name: "hexBinaryValue"}, {name: "uriValue"}, {name: "minValue"}, {name: "maxValue"},
			{name: "meanValue"}, {name: "sDev"}, {name: "percRank"}, {name: "percValue"}, {name: "uom"}, {name: "coordinateReferenceSystem"},
		}},
	}},
	{name: "bizTransactionList", fields: []field{{name: "type", words: transactionTypes}, {name: "bizTransaction"}}},
	{name: "destinationList", fields: []field{{name: "type", words: partyTypes}, {name: "destination"}}},
	{name: "sourceList", fields: []field{{name: "type", words: partyTypes}, {name: "source"}}},
}

// ignored are the fields that are not part of what happened, or that have been said before.
var ignored = []string{"eventID", "recordTime", "errorDeclaration", "type", "@context", "rdfs:comment", "comment"}

// prehash returns the text that the hash is one of.
func prehash(event *wire.Node, names *names) string {
	h := hasher{names: names}
	return "eventType=" + names.expand(event.Get("type").String()) + h.object(event, order)
}

type hasher struct{ names *names }

// object returns the fields of an object in their order, then its extensions sorted.
func (h *hasher) object(n *wire.Node, order []field) string {
	var b strings.Builder
	for i := range order {
		if value := n.Get(order[i].name); value != nil {
			b.WriteString(h.field(value, &order[i]))
		}
	}
	var rest []string
	for i := range n.Members {
		m := &n.Members[i]
		if slices.Contains(ignored, m.Key) || slices.ContainsFunc(order, func(f field) bool { return f.name == m.Key }) {
			continue
		}
		rest = append(rest, h.extension(m.Key, &m.Value)...)
	}
	slices.Sort(rest)
	return b.String() + strings.Join(rest, "")
}

// field returns a field, with its values sorted when there are several; nothing when it is empty.
func (h *hasher) field(n *wire.Node, f *field) string {
	values := []*wire.Node{n}
	if n.Kind == scan.Array {
		values = values[:0]
		for i := range n.Items {
			values = append(values, &n.Items[i])
		}
	}
	name := f.name
	if strings.HasSuffix(f.name, "List") || f.item != "" {
		name = f.item
	}
	var texts []string
	for _, value := range values {
		if value.Kind == scan.Object {
			if inner := h.object(value, f.fields); inner != "" {
				texts = append(texts, name+inner)
			}
		} else if text := h.value(f, value); text != "" {
			texts = append(texts, name+"="+text)
		}
	}
	if len(texts) == 0 {
		return ""
	}
	slices.Sort(texts)
	all := strings.Join(texts, "")
	if name != f.name {
		return f.name + all
	}
	return all
}

func (h *hasher) value(f *field, n *wire.Node) string {
	text := strings.TrimSpace(h.scalar(n))
	if f.words != nil {
		if word := f.words.word(n.String()); word != "" {
			return f.words.prefix + word
		}
	}
	lower := strings.ToLower(f.name)
	if strings.Contains(lower, "time") && !strings.Contains(lower, "offset") {
		if utc, ok := milliseconds(text); ok {
			return utc
		}
	}
	if f.name == "eventTimeZoneOffset" {
		return text
	}
	return canonicalValue(text)
}

func (h *hasher) scalar(n *wire.Node) string {
	switch n.Kind {
	case scan.String:
		return h.names.expand(n.Text)
	case scan.Null:
		return ""
	default:
		return string(n.Raw)
	}
}

// extension returns what an extension says, as one text for each of its values.
func (h *hasher) extension(key string, n *wire.Node) []string {
	if namespace, local, ok := h.names.split(key); ok {
		key = "{" + namespace + "}" + local
	}
	switch n.Kind {
	case scan.Array:
		texts := make([]string, 0, len(n.Items))
		for i := range n.Items {
			texts = append(texts, h.extensionValue(key, &n.Items[i]))
		}
		return texts
	default:
		return []string{h.extensionValue(key, n)}
	}
}

func (h *hasher) extensionValue(key string, n *wire.Node) string {
	switch n.Kind {
	case scan.Object:
		var texts []string
		for i := range n.Members {
			m := &n.Members[i]
			if m.Key == "rdfs:comment" || m.Key == "comment" {
				continue
			}
			if m.Key == "#text" {
				key += "=" + canonicalValue(strings.TrimSpace(h.scalar(&m.Value)))
				continue
			}
			texts = append(texts, h.extension(m.Key, &m.Value)...)
		}
		slices.Sort(texts)
		return key + strings.Join(texts, "")
	case scan.Array:
		var texts []string
		for i := range n.Items {
			texts = append(texts, h.extensionValue("", &n.Items[i]))
		}
		slices.Sort(texts)
		return key + strings.Join(texts, "")
	default:
		if text := strings.TrimSpace(h.scalar(n)); text != "" {
			return key + "=" + canonicalValue(text)
		}
		return key
	}
}

var webVocabulary = strings.NewReplacer(
	"urn:epcglobal:cbv:bizstep:", cbv+"BizStep-", "urn:epcglobal:cbv:disp:", cbv+"Disp-", "urn:epcglobal:cbv:btt:", cbv+"BTT-",
	"urn:epcglobal:cbv:sdt:", cbv+"SDT-", "urn:epcglobal:cbv:er:", cbv+"ER-",
)

func canonicalValue(text string) string {
	if plain, ok := canonicalNumber(text); ok {
		return plain
	}
	return Canonical(webVocabulary.Replace(text))
}

// canonicalNumber returns a number without signs and zeros that say nothing.
func canonicalNumber(text string) (string, bool) {
	if len(text) == 0 || len(text) > 64 || strings.Trim(text, "+-0123456789.eE") != "" || strings.Trim(text, "+-.eE") == "" {
		return "", false
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", false
	}
	if whole, exact := new(big.Int).SetString(strings.TrimPrefix(text, "+"), 10); exact {
		return whole.String(), true
	}
	if f == float64(int64(f)) && f > -1e15 && f < 1e15 {
		return strconv.FormatInt(int64(f), 10), true
	}
	if f >= 1e-4 && f < 1e16 || f <= -1e-4 && f > -1e16 {
		return strconv.FormatFloat(f, 'f', -1, 64), true
	}
	return strconv.FormatFloat(f, 'g', -1, 64), true
}

// milliseconds returns a time in UTC, rounded half up to the millisecond.
func milliseconds(text string) (string, bool) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return "", false
	}
	return t.UTC().Add(500 * time.Microsecond).Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000Z"), true
}
