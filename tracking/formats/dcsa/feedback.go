package dcsa

import (
	"strings"

	"github.com/rastrohq/rastro/tracking/formats"
)

// FeedbackElement is what the answer to POST /events of Track & Trace 3.0.0 says of one property of the request.
type FeedbackElement struct {
	Severity string `json:"severity" enum:"ERROR,WARN,INFO"`
	Message  string `json:"message"`
	// PropertyPath is the JSONPath of the property within the request.
	PropertyPath string `json:"propertyPath,omitempty"`
}

// Feedback returns what the answer says of events: one element a finding.
func Feedback(results []formats.Result) []FeedbackElement {
	elements := []FeedbackElement{}
	severities := map[formats.Severity]string{formats.SeverityError: "ERROR", formats.SeverityWarning: "WARN", formats.SeverityInfo: "INFO"}
	for _, r := range results {
		for _, f := range r.Findings {
			elements = append(elements, FeedbackElement{severities[f.Severity], f.Message, PropertyPath(f.Field)})
		}
	}
	return elements
}

// PropertyPath returns a JSON pointer as JSONPath: "/events/2/eventID" as "$.events[2].eventID".
func PropertyPath(pointer string) string {
	var b strings.Builder
	b.WriteByte('$')
	if pointer == "" {
		return b.String()
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch {
		case part != "" && strings.Trim(part, "0123456789") == "":
			b.WriteString("[" + part + "]")
		case part != "" && strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "":
			b.WriteString("." + part)
		default:
			b.WriteString("['" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(part) + "']")
		}
	}
	return b.String()
}
