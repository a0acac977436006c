package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// underAttack says how an operation is asked well, so that what is changed about the request is what decides. Values name what the
// party has that asks: the attacker's request gets something, and with the victim's names it would get the victim's.
type underAttack struct {
	parameters map[string]string
	body       string
	// silent says that the answer names nothing of the tenant's.
	silent bool
	// moving says that the answer is another each time.
	moving bool
	// audited says that who asks leaves a trace of it, as who writes does.
	audited bool
	// everybodys says that it is done to all tenants at once: it needs tenants:all, whoever asks.
	everybodys bool
}

// operationsUnderAttack has every operation there is.
var operationsUnderAttack = map[string]underAttack{
	"apply-code":                  {parameters: map[string]string{"carrier": "{source}", "code": "{type}"}, body: `{"milestone":"arrived","reason":"{known}"}`, moving: true},
	"cancel-dead-letter-job":      {parameters: map[string]string{"id": "{job}"}},
	"count-dead-letters":          {},
	"discard-dead-letters":        {body: `{"filter":{"correlation_id":"{dead}","reason":["nothing"]},"reason":"{known}"}`, silent: true, moving: true},
	"dismiss-code":                {parameters: map[string]string{"carrier": "{source}", "code": "{type}"}, body: `{"reason":"{known}"}`, moving: true},
	"find-trace":                  {parameters: map[string]string{"aggregateId": "{thing}"}},
	"forget-subject":              {body: `{"subject":"{subject}","reason":"request 4711"}`, parameters: map[string]string{"dryRun": "true"}, silent: true},
	"get-audit":                   {},
	"get-balance":                 {silent: true, moving: true},
	"get-capture":                 {parameters: map[string]string{"carrier": "{epcis-carrier}", "captureID": "{capture}"}},
	"get-capture-options":         {parameters: map[string]string{"carrier": "{epcis-carrier}"}, silent: true},
	"get-own-capture":             {parameters: map[string]string{"captureID": "{capture}"}},
	"get-own-capture-options":     {silent: true},
	"get-code-job":                {parameters: map[string]string{"id": "{code-job}"}},
	"get-config":                  {silent: true, moving: true},
	"get-counts":                  {silent: true, moving: true},
	"get-dead-letter":             {parameters: map[string]string{"id": "{letter}"}},
	"get-dead-letter-job":         {parameters: map[string]string{"id": "{job}"}},
	"get-event":                   {parameters: map[string]string{"uid": "{uid}"}},
	"get-me":                      {},
	"get-metrics":                 {parameters: map[string]string{"series": "stored"}, silent: true, moving: true},
	"get-overview":                {moving: true},
	"get-personal-data":           {parameters: map[string]string{"uid": "{personal}", "reason": "claim 4711"}, audited: true},
	"get-stage":                   {parameters: map[string]string{"id": "tracking.dedupe"}, silent: true, moving: true},
	"get-tenant":                  {},
	"get-topology":                {silent: true, moving: true},
	"get-trace":                   {parameters: map[string]string{"correlationId": "{trace}"}},
	"list-captures":               {parameters: map[string]string{"carrier": "{epcis-carrier}"}, moving: true},
	"list-own-captures":           {moving: true},
	"list-carrier-unmapped-codes": {parameters: map[string]string{"carrier": "{source}"}},
	"list-carrier-settings":       {silent: true},
	"list-carriers":               {moving: true},
	"list-dead-letter-jobs":       {},
	"list-dead-letters":           {},
	"list-duplicates":             {},
	"list-queues":                 {silent: true, moving: true},
	"list-stage-samples":          {parameters: map[string]string{"id": "tracking.dedupe"}, silent: true, moving: true},
	"list-stages":                 {silent: true, moving: true},
	"list-unmapped-codes":         {},
	"pause-stage":                 {parameters: map[string]string{"id": "tracking.dedupe"}, body: `{"reason":"{known}"}`, silent: true, everybodys: true},
	"post-capture":                {parameters: map[string]string{"carrier": "{epcis-carrier}"}, body: sentDocument, silent: true, moving: true},
	"post-own-capture":            {body: sentDocument, silent: true, moving: true},
	"post-carrier-events":         {parameters: map[string]string{"carrier": "{carrier}"}, body: "{{event}}", silent: true, moving: true},
	"post-events":                 {body: "{{event}}", silent: true, moving: true},
	"redrive-dead-letters":        {body: `{"filter":{"id":["{letter}"]},"reason":"{known}"}`, parameters: map[string]string{"dryRun": "true"}, silent: true, moving: true},
	"resume-stage":                {parameters: map[string]string{"id": "tracking.dedupe"}, body: `{"reason":"{known}"}`, silent: true, everybodys: true},
	"search":                      {parameters: map[string]string{"q": "{trace}"}},
	"search-events":               {},
	"search-traces":               {},
	"stream":                      {parameters: map[string]string{"events": "history,trace"}, silent: true, moving: true},
	"sum-duplicates":              {},
	"list-alerts":                 {moving: true},
	"silence-alert":               {parameters: map[string]string{"id": "{alert}"}, body: `{"minutes":60,"reason":"{known}"}`},
	"unsilence-alert":             {parameters: map[string]string{"id": "{alert}"}},
}

// ask returns the request of an operation as a party would make it.
func (s *attackStand) ask(o apiOperation, p *party) attackRequest {
	of := operationsUnderAttack[o.OperationID]
	r := attackRequest{method: o.method, path: o.path, query: url.Values{}, header: http.Header{}, leaves: of.audited || o.method != http.MethodGet}
	for name, template := range of.parameters {
		r = with(r, parameterOf(o, name), p.fill(template))
	}
	if of.body != "" {
		r.body, r.contentType = p.fill(strings.ReplaceAll(of.body, "{{event}}", sentEvent)), "application/json"
	}
	_, r.stream = o.Responses["200"].Content["text/event-stream"]
	return r
}

const sentDocument = `{"@context":"https://ref.gs1.org/standards/epcis/epcis-context.jsonld","type":"EPCISDocument","schemaVersion":"2.0",` +
	`"creationDate":"2026-06-20T22:56:00-05:00","epcisBody":{"eventList":[{"type":"ObjectEvent","action":"OBSERVE","epcList":["urn:x:{thing}-sent"],` +
	`"eventTime":"2026-06-20T22:55:01-05:00","eventTimeZoneOffset":"-05:00"}]}}`

const sentEvent = `{"correlation_id":"{trace}-sent","aggregate_id":"{thing}-sent","event_type":"loaded","source":"{source}","event_id":"{event}-sent",` +
	`"timestamp":"2026-06-20T22:55:01-05:00","payload":{"location":"LIM"}}`

func parameterOf(o apiOperation, name string) apiParameter {
	i := slices.IndexFunc(o.Parameters, func(p apiParameter) bool { return p.Name == name })
	return o.Parameters[i]
}

// with returns a request with a parameter set.
func with(r attackRequest, p apiParameter, value string) attackRequest {
	r.query, r.header = clone(r.query), r.header.Clone()
	switch p.In {
	case "path":
		r.path = strings.ReplaceAll(r.path, "{"+p.Name+"}", url.PathEscape(value))
	case "query":
		r.query[p.Name] = []string{value}
	default:
		r.header.Set(p.Name, value)
	}
	return r
}

func clone(values url.Values) url.Values {
	return url.Values(http.Header(values).Clone())
}

// changed returns the request of an operation with one parameter's value another.
func (s *attackStand) changed(o apiOperation, p apiParameter, value string) attackRequest {
	base := s.ask(o, s.asking(o))
	if p.In == "path" { // it is in the base's path already
		base.path = o.path
		for name, template := range operationsUnderAttack[o.OperationID].parameters {
			if other := parameterOf(o, name); other.In == "path" && name != p.Name {
				base = with(base, other, s.asking(o).fill(template))
			}
		}
	}
	return with(base, p, value)
}

// asking returns as whom the attacker asks an operation.
func (s *attackStand) asking(o apiOperation) *party {
	if operationsUnderAttack[o.OperationID].audited || o.method != http.MethodGet {
		return s.sender
	}
	return s.attacker
}

// hostile are values that have opened doors elsewhere.
func hostile() []string {
	return []string{
		"'", `"`, "''", `\`, "' OR '1'='1", "' OR 1=1 --", "') OR 1=1 --", `" OR ""="`, "1; DROP TABLE traces; --", "'; SELECT pg_sleep(9) --",
		"' UNION SELECT tenant_id, name FROM tenant_tracking_settings --", "'||(SELECT string_agg(payload::text, '') FROM event_store)||'",
		"'; SELECT set_config('rastro.tenant_id', '" + victimKnown + "-tenant', false); --", "'; RESET ROLE; --", "$1", "$$x$$", "%", "_", "%%%%", "___",
		victimKnown + "%", "*", ".*", "(?i)zq7.*", "{}", "[]", `{"$ne":null}`, `["` + victimKnown + `-trace"]`, "{" + victimKnown + "-trace}", "null", "true",
		"\x00", "a\x00b", "\xff\xfe", "\u202e\u2066", "ＺＱ７ｋｎｏｗｎ-trace", "zq7knówn\u0301", "\r\nX-Tenant: " + victimKnown + "-tenant", "../../" + victimKnown, "..%2f..%2f",
		"%00", "%27%20OR%201=1", "-1", "0", "999999999999999999999999", "1e309", "NaN", "infinity", "-infinity", "epoch", "now", "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999Z", "99999-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}",
		"urn:uuid:00000000-0000-0000-0000-000000000000", "all", "any", strings.Repeat("a", 300), strings.Repeat("ñ", 5000), "<script>", "${jndi:ldap://x}", "{{7*7}}",
		"eyJiIjoiIiwidCI6MCwiaSI6IiJ9", // {"b":"","t":0,"i":""}
	}
}

// victims are the values of the victim's that the attacker has got hold of.
func (s *attackStand) victims() (values []string) {
	for _, value := range s.victim.names {
		values = append(values, value)
	}
	slices.Sort(values)
	return append(values, strings.ToUpper(s.victim.names["trace"]), " "+s.victim.names["trace"]+" ", s.attacker.tenant+","+s.victim.tenant)
}

// decoy returns a request that says other values where the victim's are, of things that nobody has.
func (s *attackStand) decoy(text string) string {
	for _, value := range s.victim.names {
		if len(value) == 36 { // a UUID: its time stays
			text = strings.ReplaceAll(text, value, decoyUUID(value))
		}
	}
	return strings.NewReplacer("zq7k", "zq8k", "ZQ7K", "ZQ8K").Replace(text)
}

func decoyUUID(id string) string {
	last := map[bool]string{true: "1", false: "0"}[id[35] == '0']
	return id[:35] + last
}

var passing = regexp.MustCompile(`"instance":"[^"]*"|"\d{4}-\d\d-\d\dT[^"]*"`)

// plain returns an answer without what differs each time, and with decoys as what they stand for.
func (s *attackStand) plain(a attackAnswer) string {
	text := a.body
	for _, value := range s.victim.names {
		if len(value) == 36 {
			text = strings.ReplaceAll(text, decoyUUID(value), value)
		}
	}
	text = strings.NewReplacer("zq8k", "zq7k", "ZQ8K", "ZQ7K", "Zq8k", "Zq7k").Replace(text)
	return fmt.Sprint(a.status, " ", passing.ReplaceAllString(text, `""`))
}

// tryBoth sends a request that says something of the victim's, and the same with something of nobody's: no difference may show.
func (s *attackStand) tryBoth(o apiOperation, value string, build func(value string) attackRequest) {
	got := s.try(build(value))
	decoy := s.decoy(value)
	if decoy == value || operationsUnderAttack[o.OperationID].moving {
		return
	}
	if nobodys := s.try(build(decoy)); s.plain(got) != s.plain(nobodys) {
		s.fail("%s\ntells what is there: %s\nand of what is not there: %s", build(value), got.body, nobodys.body)
	}
}

// TestNoTenantReachesAnother has a tenant try every operation of the API with all that it may know of another one, and with what has
// opened doors elsewhere, in every parameter, header and body, in streams and exports.
func TestNoTenantReachesAnother(t *testing.T) { //nolint:tparallel // what it does with one system is done in order
	t.Parallel()
	s := newAttackStand(t)
	operations := s.document.operations()
	ids := make([]string, 0, len(operations))
	for _, o := range operations {
		ids = append(ids, o.OperationID)
	}
	known := make([]string, 0, len(ids))
	for id := range operationsUnderAttack {
		known = append(known, id)
	}
	require.ElementsMatch(t, known, ids, "every operation must be in operationsUnderAttack, and nothing else")
	for _, o := range operations { // What is attacked is there to be had: by its owner, and with the same requests.
		if operationsUnderAttack[o.OperationID].everybodys {
			continue
		}
		for _, p := range []*party{s.attacker, s.victim} {
			got := s.send(p, s.ask(o, p))
			require.Less(t, got.status, 300, "%s of %s: %s", o.OperationID, p.tenant, got.body)
			if p == s.victim && !operationsUnderAttack[o.OperationID].silent {
				require.Contains(t, got.body, "zq7", o.OperationID)
			}
		}
	}
	s.log.take()
	before := s.holdings()
	require.Greater(t, len(before), 10)

	for _, part := range []struct {
		name string
		try  func(*testing.T)
	}{
		{"figures", s.figures}, {"every value everywhere", s.everything}, {"any request", s.anyRequest}, {"nothing was changed", func(t *testing.T) {
			t.Helper()
			require.Equal(t, before, s.holdings())
			got := s.send(s.victim, s.ask(operations[slices.Index(ids, "get-personal-data")], s.victim))
			require.Contains(t, got.body, victimSecret, "who was to be forgotten")
			require.Zero(t, s.count("SELECT count(*) FROM stage_controls"), "nobody's stage was paused")
			require.Zero(t, s.count("SELECT count(*) FROM ops_audit WHERE action LIKE 'stages.%'"))
		}}, {"streams", s.streams}, {"crossings", s.crossings}, {"what is done to all", s.toEverybody},
	} {
		t.Run(part.name, func(inner *testing.T) {
			s.t = inner
			defer func() { s.t = t }()
			part.try(inner)
			s.requireSafe()
		})
	}
}

// toEverybody tries what is done to all tenants at once: it is to be had with tenants:all and the role of the operation, and not with
// either alone.
func (s *attackStand) toEverybody(*testing.T) {
	s.t.Helper()
	for _, o := range s.document.operations() {
		if operationsUnderAttack[o.OperationID].everybodys {
			s.forEverybody(o)
		}
	}
}

func (s *attackStand) forEverybody(o apiOperation) {
	s.t.Helper()
	for _, p := range []*party{s.attacker, s.victim, s.party("talma-mx", roleTenantsAll), s.party("talma-mx", roleTenantsAll, roleOpsRead)} {
		got := s.send(p, s.ask(o, s.attacker))
		require.Equal(s.t, http.StatusForbidden, got.status, "%s: %s", o.OperationID, got.body)
	}
	got := s.send(s.party("talma-mx", roleTenantsAll, roleOpsWrite), s.ask(o, s.attacker))
	require.Less(s.t, got.status, 300, "%s: %s", o.OperationID, got.body)
	require.Contains(s.t, got.body, `"changed":true`)
}

// everything puts every value into every place of every operation.
func (s *attackStand) everything(t *testing.T) {
	t.Helper()
	operations := s.document.operations()
	s.eachOf(operations, s.attackParameters)
	s.eachOf(operations, s.attackBodies)
	s.eachOf(operations, s.attackHeaders)
	s.attackIngest()
	for _, path := range []string{"/metrics", "/openapi.json", "/reference", "/readyz", "/livez", "/api/v1/events/health", "/"} {
		answer := s.send(s.attacker, attackRequest{method: http.MethodGet, path: path})
		// Alarms on the silence of carriers need their names; docs/metrics.md says who may reach the page.
		answer.body = sourceFigures.ReplaceAllString(answer.body, "")
		if found := s.leak(attackRequest{}, answer); found != "" {
			s.fail("%s has %s", path, found)
		}
	}
}

var sourceFigures = regexp.MustCompile(`(?m)^rastro_source_.*$`)

// eachOf attacks several operations at once.
func (s *attackStand) eachOf(operations []apiOperation, attack func(apiOperation)) {
	var wait sync.WaitGroup
	room := make(chan struct{}, 4)
	for _, o := range operations {
		room <- struct{}{}
		wait.Go(func() {
			defer func() { <-room }()
			attack(o)
		})
	}
	wait.Wait()
}

func (s *attackStand) attackParameters(o apiOperation) {
	for _, p := range o.Parameters {
		victims, doors := s.victims(), hostile()
		if !p.Schema.isType("string") && !p.Schema.isType("array") || p.Schema.Format == "date-time" { // one that is no text is as good as all
			victims, doors = victims[:3], slices.DeleteFunc(doors, func(v string) bool { return !strings.ContainsAny(v, "0123456789NinT\x00") || len(v) > 100 })
		}
		for _, value := range victims {
			if p.In == "header" && !headerSafe(value) {
				continue
			}
			s.tryBoth(o, value, func(value string) attackRequest { return s.changed(o, p, value) })
		}
		for _, value := range doors {
			if p.In == "header" && !headerSafe(value) {
				continue
			}
			s.try(s.changed(o, p, value))
		}
		if p.In != "query" {
			continue
		}
		for _, twice := range [][]string{
			{s.attacker.tenant, s.victim.tenant}, {s.victim.tenant, s.attacker.tenant}, {s.victim.names["trace"], "' OR 1=1 --"},
		} {
			r := s.changed(o, p, "")
			r.query[p.Name] = twice
			s.try(r)
			delete(r.query, p.Name)
			r.query[p.Name+"[]"] = twice
			s.try(r)
		}
		if p.Name == "tenant" {
			if got := s.try(s.changed(o, p, s.victim.tenant)); got.status != http.StatusForbidden {
				s.fail("%s with the victim's tenant is answered %d", o.OperationID, got.status)
			}
		}
	}
	for _, name := range []string{"tenant", "tenant_id", "tenantId", "tenantID", "Tenant", "as", "unowned"} {
		r := s.ask(o, s.asking(o))
		r.query[name] = []string{s.victim.tenant}
		s.try(r)
	}
}

func headerSafe(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func (s *attackStand) attackHeaders(o apiOperation) {
	headers := http.Header{
		"If-None-Match": {s.victim.names["etag"], s.victim.names["list-etag"], `W/` + s.victim.names["etag"]},
		"If-Match":      {s.victim.names["etag"]}, "If-Modified-Since": {"Thu, 01 Jan 1970 00:00:00 GMT"},
		"Accept":          {"application/x-ndjson", "text/csv", "text/html", "*/*;q=0", "'"},
		"Accept-Language": {"es, " + s.victim.tenant}, "Accept-Encoding": {"identity;q=0"}, "Range": {"bytes=0-"},
		"X-Api-Key": {"rk_" + strings.Repeat("a", 43)}, "Cookie": {"rastro_session=" + s.victim.tenant}, "X-Http-Method-Override": {"GET"},
		"X-Original-Url": {"/api/v1/trace/" + s.victim.names["trace"]}, "X-Forwarded-User": {s.victim.tenant}, "X-Request-Id": {"' OR 1=1 --"},
		"Last-Event-Id": {"0.0", "1.1", "99999999999.4503599627370495"}, "Content-Type": {"application/xml", "application/cbor"},
	}
	for _, name := range []string{"Tenant", "X-Tenant", "X-Tenant-Id", "X-Rastro-Tenant", "X-Scope-Orgid"} {
		headers[name] = []string{s.victim.tenant}
	}
	for name, values := range headers {
		for _, value := range values {
			for _, p := range []*party{s.asking(o), s.victim} { // with its own names, and with the victim's
				r := s.ask(o, p)
				r.header[name] = []string{value}
				if got := s.try(r); got.status == http.StatusNotModified {
					s.fail("%s\nis answered that nothing has changed", r)
				}
			}
		}
	}
}

// attackBodies puts the victim's values, and hostile ones, into every property of a body.
func (s *attackStand) attackBodies(o apiOperation) {
	if o.RequestBody == nil {
		return
	}
	base := s.ask(o, s.sender)
	for media, content := range o.RequestBody.Content {
		var schema apiSchema
		if err := json.Unmarshal(content.Schema, &schema); err != nil {
			s.fail("%s: %v", o.OperationID, err)
		}
		for _, place := range s.places(schema, nil) {
			for _, value := range append(s.victims(), hostile()...) {
				for _, as := range []any{value, []any{value}, map[string]any{"$eq": value}} {
					var document any
					if err := json.Unmarshal([]byte(base.body), &document); err != nil {
						s.fail("%s: %v", o.OperationID, err)
					}
					put(document.(map[string]any), place, as)
					body, err := json.Marshal(document)
					if err != nil {
						s.fail("%s: %v", o.OperationID, err)
					}
					r := base
					r.body, r.contentType = string(body), media
					s.try(r)
				}
			}
		}
		for _, body := range []string{"", "null", "[]", "[[]]", "{", `{"filter":null}`, strings.Repeat("[", 20_000), `"` + s.victim.names["trace"] + `"`, "\x00", "\xff"} {
			r := base
			r.body, r.contentType = body, media
			s.try(r)
		}
	}
}

// places returns where the properties of a body are.
func (s *attackStand) places(schema apiSchema, above []string) (all [][]string) {
	schema = s.document.resolve(s.t, schema)
	for _, one := range schema.OneOf {
		all = append(all, s.places(one, above)...)
	}
	for name, property := range schema.Properties {
		place := append(slices.Clone(above), name)
		all = append(all, place)
		all = append(all, s.places(property, place)...)
	}
	if len(schema.Properties) > 0 {
		all = append(all, append(slices.Clone(above), "tenant_id"), append(slices.Clone(above), "tenant"))
	}
	return all
}

func put(document map[string]any, place []string, value any) {
	for _, name := range place[:len(place)-1] {
		below, ok := document[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			document[name] = below
		}
		document = below
	}
	document[place[len(place)-1]] = value
}

// attackIngest sends events that claim to be the victim's, correct them, or repeat them.
func (s *attackStand) attackIngest() {
	names := s.victim.fill
	for _, body := range []string{
		names(`{"tenant_id":"{tenant}","correlation_id":"x","aggregate_id":"x","event_type":"loaded","timestamp":"2026-06-20T22:55:01-05:00"}`),
		names(sentEvent),
		names(`{"correlation_id":"{trace}","aggregate_id":"{thing}","event_type":"delivered","source":"{source}","event_id":"{event}","revision":9,"timestamp":"2026-06-22T22:55:01-05:00","payload":{}}`),
		names(`{"correlation_id":"{trace}","aggregate_id":"{thing}","event_type":"void","source":"{source}","event_id":"v-1","timestamp":"2026-06-22T22:55:01-05:00","corrects":{"uid":"{uid}","event_id":"{event}","source":"{source}","action":"void"},"payload":{}}`),
		names(`{"correlation_id":"{trace}","aggregate_id":"{thing}","event_type":"loaded","source":"{source}","event_id":"v-2","uid":"{uid}","timestamp":"2026-06-22T22:55:01-05:00","personal":{"subject":"{subject}","data":{"name":"x"}},"payload":{}}`),
	} {
		got := s.try(attackRequest{method: http.MethodPost, path: "/api/v1/events", body: body, contentType: "application/json", leaves: true})
		if strings.Contains(body, `"tenant_id"`) && got.status != http.StatusForbidden {
			s.fail("an event in the name of the victim is answered %d", got.status)
		}
	}
	require.Eventually(s.t, func() bool {
		var balance struct{ Settled bool }
		got := s.send(s.sender, attackRequest{method: http.MethodGet, path: "/api/v1/stats/balance"})
		return json.Unmarshal([]byte(got.body), &balance) == nil && balance.Settled
	}, 30e9, 50e6)
	// What the attacker sent in these names is its own, and the only thing that it sees.
	for _, path := range []string{names("/api/v1/trace/{trace}"), names("/api/v1/trace?aggregateId={thing}"), names("/api/v1/search?q={trace}")} {
		got := s.send(s.sender, attackRequest{method: http.MethodGet, path: path})
		if strings.Contains(strings.ToLower(got.body), victimSecret) || strings.Contains(got.body, s.victim.names["uid"]) {
			s.fail("%s has what is the victim's: %s", path, got.body)
		}
	}
}
