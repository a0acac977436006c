package epcis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

func TestScratch(t *testing.T) {
	files, _ := filepath.Glob("testdata/*/*.json")
	for _, f := range files {
		body, _ := os.ReadFile(f)
		rs, err := Decode(body, formats.Options{DefaultSource: "demo"})
		t.Log(f, len(rs), err)
		for _, r := range rs {
			if len(r.Findings) > 0 {
				x, _ := json.Marshal(r.Findings)
				t.Log(string(x))
			}
		}
		root, _ := wire.Document(body)
		ns := standardNames.with(root.Get("@context"))
		for _, e := range root.Get("epcisBody", "eventList").Items {
			if id := e.Get("eventID").String(); id != "" {
				in := ns.with(e.Get("@context"))
				t.Log(hash(&e, in) == id, id)
				if hash(&e, in) != id {
					t.Log(prehash(&e, in))
				}
			}
		}
	}
	files, _ = filepath.Glob("/tmp/gs1/vec/tests/examples/*.jsonld")
	ok, bad := 0, 0
	for _, f := range files {
		body, _ := os.ReadFile(f)
		root, err := wire.Document(body)
		if err != nil {
			t.Log(f, err)
			continue
		}
		ns := standardNames.with(root.Get("@context"))
		list := root.Get("epcisBody", "eventList")
		if list == nil {
			list = root.Get("epcisBody", "queryResults", "resultsBody", "eventList")
		}
		if list == nil {
			continue
		}
		want, _ := os.ReadFile(f[:len(f)-6] + "prehashes")
		lines := splitLines(string(want))
		for i := range list.Items {
			got := prehash(&list.Items[i], ns.with(list.Items[i].Get("@context")))
			if i < len(lines) && got == lines[i] {
				ok++
			} else if i < len(lines) {
				bad++
				t.Log(f, "\n", got, "\n", lines[i])
			}
		}
	}
	t.Log(ok, bad)
}

func splitLines(s string) (l []string) {
	start := 0
	for i := range s {
		if s[i] == '\n' {
			l = append(l, s[start:i])
			start = i + 1
		}
	}
	if start < len(s) {
		l = append(l, s[start:])
	}
	return
}
