package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// attackValue draws what an attacker may put in for a value: the victim's, what has opened doors elsewhere, both at once, or anything.
func (s *attackStand) attackValue() *rapid.Generator[string] {
	victims, doors := rapid.SampledFrom(s.victims()), rapid.SampledFrom(hostile())
	return rapid.OneOf(
		victims, doors, rapid.String(), rapid.Just(s.attacker.names["trace"]),
		rapid.Custom(func(t *rapid.T) string { return victims.Draw(t, "victim's") + doors.Draw(t, "hostile") }),
		rapid.Custom(func(t *rapid.T) string { return doors.Draw(t, "hostile") + victims.Draw(t, "victim's") }),
		rapid.Custom(func(t *rapid.T) string {
			value := []byte(victims.Draw(t, "victim's"))
			value[rapid.IntRange(0, len(value)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			return string(value)
		}),
	)
}

// Whatever is put together of operations, parameters, headers and values: nothing of the victim's is in any answer, and none is an
// internal error.
func (s *attackStand) anyRequest(t *testing.T) {
	t.Helper()
	operations := s.document.operations()
	value := s.attackValue()
	rapid.Check(t, func(t *rapid.T) {
		for range 10 {
			s.try(s.drawRequest(t, operations[rapid.IntRange(0, len(operations)-1).Draw(t, "operation")], value))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, failure := range s.failures {
			t.Error(failure)
		}
		s.failures = nil
	})
}

// drawRequest draws a request of an operation.
func (s *attackStand) drawRequest(t *rapid.T, o apiOperation, value *rapid.Generator[string]) attackRequest {
	r := s.ask(o, s.asking(o))
	for _, p := range o.Parameters {
		if rapid.IntRange(0, 3).Draw(t, p.Name) > 0 {
			continue
		}
		v := value.Draw(t, "value")
		switch {
		case p.In == "header" && !headerSafe(v):
		case p.In == "path":
			r.path = with(attackRequest{path: o.path}, p, v).path
		case p.In == "query" && rapid.Bool().Draw(t, "twice"):
			r.query[p.Name] = append(r.query[p.Name], v)
		default:
			r = with(r, p, v)
		}
	}
	for _, name := range []string{"Accept", "If-None-Match", "X-Tenant", "Last-Event-Id"} {
		if v := value.Draw(t, name); rapid.IntRange(0, 5).Draw(t, "whether") == 0 && headerSafe(v) {
			r.header[name] = []string{v}
		}
	}
	if _, streamed := o.Responses["200"].Content["text/event-stream"]; streamed {
		r.query["events"] = []string{"history"}
	}
	return r
}

// A stream tells of no other tenant, wherever it goes on from and whatever it asks for, while traces of both change.
func (s *attackStand) streams(t *testing.T) {
	t.Helper()
	open := func(p *party, address string) *bufio.Scanner {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+address, http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", p.bearer(t))
		response, err := s.client.Do(request)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, address)
		t.Cleanup(func() { _ = response.Body.Close() })
		return bufio.NewScanner(response.Body)
	}
	const all = "/api/v1/stream?events=history,trace,job,tick"
	place := ""
	for lines := open(s.victim, all); place == "" && lines.Scan(); {
		place = strings.TrimPrefix(lines.Text(), "id: ")
		if place == lines.Text() {
			place = ""
		}
	}
	require.NotEmpty(t, place)
	streams := map[string]*bufio.Scanner{}
	for _, query := range []string{
		"", "&correlationPrefix=" + victimKnown, "&aggregateId=" + s.victim.names["thing"], "&status=loaded", "&correlationPrefix=%25", "&place=LIM",
		"&correlationPrefix=%27%20OR%201=1%20--", "&tenant_id=" + s.victim.tenant,
	} {
		for _, last := range []string{"", "&lastEventId=0.0", "&lastEventId=1.1", "&lastEventId=" + place} {
			streams[all+query+last] = open(s.attacker, all+query+last)
		}
	}
	for i := range 3 {
		for _, p := range []*party{s.victim, s.attacker} {
			body := strings.ReplaceAll(p.fill(sentEvent), "-sent", fmt.Sprint("-live", i))
			got := s.send(p, attackRequest{method: http.MethodPost, path: "/api/v1/events", body: body, contentType: "application/json"})
			require.Equal(t, http.StatusAccepted, got.status, got.body)
		}
	}
	told := false // of what the attacker sent last
	for address, lines := range streams {
		whole := address == all
		for ticks := 0; ticks < 3 || whole && !told && ticks < 20; {
			require.True(t, lines.Scan(), address)
			line := lines.Text()
			if found := s.leak(attackRequest{path: address}, attackAnswer{body: line}); found != "" {
				s.fail("%s tells %s", address, found)
			}
			told = told || whole && strings.Contains(line, s.attacker.names["trace"]+"-live2")
			if line == "event: tick" {
				ticks++
			}
		}
	}
	require.True(t, told)
}

// A tenant that has nothing sees nothing, in figures either.
func (s *attackStand) figures(t *testing.T) {
	t.Helper()
	shared := []string{"depth", "processes", "workers", "batch", "points", "step_seconds", "status", "at", "from", "to", "limit", "lasts_ms"}
	for _, o := range s.document.operations() {
		switch {
		case o.method != http.MethodGet, o.OperationID == "stream", o.OperationID == "get-stage", o.OperationID == "get-me", o.OperationID == "get-tenant", o.OperationID == "list-carrier-settings": // what it may, it is told
			continue
		}
		got := s.send(s.nobody, s.ask(o, s.victim))
		if got.status == http.StatusNotFound {
			continue
		}
		require.Equal(t, http.StatusOK, got.status, "%s: %s", o.OperationID, got.body)
		var answer any
		require.NoError(t, json.Unmarshal([]byte(got.body), &answer))
		ofAll := o.OperationID == "list-alerts" // of the stages and queues that all share
		require.False(t, ofAll && strings.Contains(got.body, `"scope":"tenant"`), got.body)
		eachNumber(answer, "", func(name string, n float64) {
			if ofAll && name == "value" {
				return
			}
			if !slices.Contains(shared, name) && n != 0 && n != 1 {
				t.Errorf("%s says %s: %v to who has nothing: %s", o.OperationID, name, n, got.body)
			}
		})
	}
}

func eachNumber(value any, name string, visit func(string, float64)) {
	switch v := value.(type) {
	case float64:
		visit(name, v)
	case []any:
		for _, item := range v {
			eachNumber(item, name, visit)
		}
	case map[string]any:
		for key, item := range v {
			eachNumber(item, key, visit)
		}
	}
}
