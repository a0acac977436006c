package epcis

import (
	"strings"

	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// names are the namespaces that the JSON-LD contexts of a document, and of an event in it, declare.
type names struct {
	outer    *names
	prefixes map[string]string
}

// standardNames are those that the context of EPCIS itself declares.
var standardNames = &names{prefixes: map[string]string{
	"cbv": cbv, "gs1": voc, "epcis": "https://ref.gs1.org/epcis/", "cbvmda": "urn:epcglobal:cbv:mda:",
}}

// with returns the namespaces within a context. A context that is a URI stands for a document that is not fetched: only that of
// EPCIS is known.
func (n *names) with(context *wire.Node) *names {
	if context == nil {
		return n
	}
	inner := &names{outer: n, prefixes: map[string]string{}}
	add := func(o *wire.Node) {
		for i := range o.Members {
			m := &o.Members[i]
			switch namespace := m.Value.Get("@id"); {
			case m.Value.Kind == scan.String:
				inner.prefixes[m.Key] = m.Value.Text
			case namespace.Is(scan.String):
				inner.prefixes[m.Key] = namespace.Text
			}
		}
	}
	add(context)
	for i := range context.Items {
		add(&context.Items[i])
	}
	return inner
}

// split returns the namespace of a compact URI and what follows it.
func (n *names) split(s string) (namespace, local string, ok bool) {
	prefix, local, colon := strings.Cut(s, ":")
	if !colon || strings.HasPrefix(local, "//") {
		return "", "", false
	}
	for at := n; at != nil; at = at.outer {
		if namespace, ok := at.prefixes[prefix]; ok {
			return namespace, local, true
		}
	}
	return "", "", false
}

// expand returns a compact URI in full; what is none is returned as it is.
func (n *names) expand(s string) string {
	if namespace, local, ok := n.split(s); ok {
		return namespace + local
	}
	return s
}
