package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // names of time zones are checked on machines without them as well
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"golang.org/x/text/language"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// tenantFile is a file of tenants, such as tenants.yaml.
type tenantFile struct {
	Tenants []tenantEntry `yaml:"tenants"`
}

type tenantEntry struct {
	ID              string            `yaml:"id" json:"id"`
	Name            string            `yaml:"name" json:"name"`
	Country         string            `yaml:"country" json:"country"`
	EventTypes      []string          `yaml:"event_types" json:"event_types"`
	Sources         []string          `yaml:"sources" json:"sources"`
	RetentionDays   int               `yaml:"retention_days" json:"retention_days"`
	RetentionByKind map[string]int    `yaml:"retention_by_kind,omitempty" json:"retention_by_kind,omitempty"`
	MaxPayloadBytes int               `yaml:"max_payload_bytes" json:"max_payload_bytes"`
	RatePerSecond   float64           `yaml:"rate_per_second" json:"rate_per_second"`
	Active          *bool             `yaml:"active,omitempty" json:"active"` // left out: true
	Preferences     tenantPreferences `yaml:"preferences,omitempty" json:"preferences"`
}

// tenantPreferences are what people of the tenant see unless they choose otherwise.
type tenantPreferences struct {
	Language string `yaml:"language,omitempty" json:"language,omitempty"`   // BCP 47
	TimeZone string `yaml:"time_zone,omitempty" json:"time_zone,omitempty"` // IANA
}

// settings returns the tenant as the store has it.
func (t tenantEntry) settings() (store.Tenant, error) {
	preferences, err := json.Marshal(t.Preferences)
	if err != nil {
		return store.Tenant{}, fmt.Errorf("encode preferences: %w", err)
	}
	return store.Tenant{
		ID: t.ID, Name: t.Name, Country: t.Country, EventTypes: t.EventTypes, Sources: t.Sources,
		RetentionDays: t.RetentionDays, RetentionByKind: t.RetentionByKind, MaxPayloadBytes: t.MaxPayloadBytes, RatePerSecond: t.RatePerSecond,
		Active: t.Active == nil || *t.Active, Preferences: preferences,
	}, nil
}

// tenantEntryOf returns a tenant as files have it.
func tenantEntryOf(t store.Tenant) (tenantEntry, error) {
	e := tenantEntry{
		ID: t.ID, Name: t.Name, Country: t.Country, EventTypes: t.EventTypes, Sources: t.Sources,
		RetentionDays: t.RetentionDays, RetentionByKind: t.RetentionByKind, MaxPayloadBytes: t.MaxPayloadBytes, RatePerSecond: t.RatePerSecond,
		Active: &t.Active,
	}
	if err := json.Unmarshal(t.Preferences, &e.Preferences); err != nil {
		return e, fmt.Errorf("decode preferences of tenant %s: %w", t.ID, err)
	}
	return e, nil
}

// parseTenants reads the tenants of a file. The findings say what is wrong with it, and where.
func parseTenants(file string, source []byte) ([]store.Tenant, pipeline.Findings) {
	var content tenantFile
	if err := yaml.UnmarshalWithOptions(source, &content, yaml.DisallowUnknownField()); err != nil {
		return nil, pipeline.Findings{tenantsFinding(file, err)}
	}
	tree, err := parser.ParseBytes(source, 0)
	if err != nil {
		return nil, pipeline.Findings{tenantsFinding(file, err)}
	}
	if len(tree.Docs) > 1 {
		return nil, pipeline.Findings{{File: file, Code: "tenants", Message: "there are several documents in it; write one list of tenants"}}
	}
	check := tenantCheck{file: file, seen: map[string]int{}}
	if len(tree.Docs) == 1 {
		check.body = tree.Docs[0].Body
	}
	tenants := make([]store.Tenant, len(content.Tenants))
	for i, t := range content.Tenants {
		check.tenant(i, t)
		if tenants[i], err = t.settings(); err != nil {
			return nil, pipeline.Findings{tenantsFinding(file, err)}
		}
	}
	if len(check.found) > 0 {
		return nil, check.found
	}
	return tenants, nil
}

// tenantsFinding is what is wrong with a file of tenants as a whole.
func tenantsFinding(file string, err error) pipeline.Finding {
	f := pipeline.Finding{File: file, Code: "tenants", Message: err.Error()}
	if y, ok := errors.AsType[yaml.Error](err); ok {
		f.Message = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			f.Line, f.Column = t.Position.Line, t.Position.Column
		}
	}
	if unknown, ok := errors.AsType[*yaml.UnknownFieldError](err); ok && unknown.Token != nil {
		f.Hint = tenantKeyHint(unknown.Token.Value)
	}
	return f
}

// tenantKeyHint says which key a mistyped one was meant to be.
func tenantKeyHint(key string) string {
	of := keysIn(reflect.TypeFor[tenantEntry]())
	all := slices.Concat(of, keysIn(reflect.TypeFor[tenantFile]()), keysIn(reflect.TypeFor[tenantPreferences]()))
	if best := suggest.Closest(key, all); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "a tenant has " + strings.Join(of, ", ")
}

func keysIn(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		keys = append(keys, key)
	}
	return keys
}

// tenantCheck finds what is wrong with the values of tenants.
type tenantCheck struct {
	file  string
	body  ast.Node
	seen  map[string]int
	found pipeline.Findings
}

// maxTenantID bounds a tenant's id, in bytes, as tokens do.
const maxTenantID = 128

func (c *tenantCheck) tenant(i int, t tenantEntry) {
	add := func(key, hint, format string, args ...any) {
		f := pipeline.Finding{File: c.file, Code: "tenants", Message: fmt.Sprintf(format, args...), Hint: hint}
		f.Line, f.Column = c.place(i, key)
		c.found = append(c.found, f)
	}
	before, twice := c.seen[t.ID]
	c.seen[t.ID] = i
	switch {
	case t.ID == "":
		add("id", "write the id that tokens name it by", "a tenant has no id")
	case len(t.ID) > maxTenantID || strings.ContainsFunc(t.ID, odd):
		add("id", "", "id %q is not one: it has no spaces and %d bytes at most", t.ID, maxTenantID)
	case twice:
		add("id", "", "tenant %q is also tenant %d of the list", t.ID, before+1)
	}
	if strings.ContainsFunc(t.Name, unicode.IsControl) {
		add("name", "", "name %q has control characters", t.Name)
	}
	if t.Country != "" && !isCountry(t.Country) {
		hint := "write two capitals such as PE"
		if upper := strings.ToUpper(t.Country); isCountry(upper) {
			hint = fmt.Sprintf("did you mean %q?", upper)
		}
		add("country", hint, "country %q is no code of ISO 3166-1 alpha-2", t.Country)
	}
	checkTenantRules(t, add)
	checkTenantPreferences(t.Preferences, add)
}

// odd is what no id, type or source has.
func odd(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

// addFinding adds what is wrong with a key of a tenant, and maybe a hint at what to write instead.
type addFinding func(key, hint, format string, args ...any)

func checkTenantRules(t tenantEntry, add addFinding) {
	for _, of := range []struct {
		key    string
		values []string
	}{{"event_types", t.EventTypes}, {"sources", t.Sources}} {
		for n, value := range of.values {
			if value == "" || strings.ContainsFunc(value, odd) || slices.Contains(of.values[:n], value) {
				add(of.key, "", "%s has %q, which is empty, has spaces or is there twice", of.key, value)
			}
		}
	}
	for _, of := range []struct {
		key   string
		value int
	}{{"retention_days", t.RetentionDays}, {"max_payload_bytes", t.MaxPayloadBytes}} {
		if of.value < 0 || of.value > math.MaxInt32 {
			add(of.key, "0 sets no limit", "%s is %d; it is from 0 to %d", of.key, of.value, math.MaxInt32)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(t.RetentionByKind)) {
		if days := t.RetentionByKind[kind]; days < 0 || days > math.MaxInt32 {
			add("retention_by_kind", "0 keeps for ever", "retention_by_kind has %d days of %q; it is from 0 to %d", days, kind, math.MaxInt32)
		}
		if !slices.Contains(tracking.Kinds(), tracking.Kind(kind)) {
			known := fmt.Sprintf("the kinds are %s", strings.Join(kindNames(), ", "))
			if best := suggest.Closest(kind, kindNames()); best != "" {
				known = fmt.Sprintf("did you mean %q?", best)
			}
			add("retention_by_kind", known, "retention_by_kind has %q, which is no kind", kind)
		}
	}
	if !(t.RatePerSecond >= 0) || math.IsInf(t.RatePerSecond, 1) { // nor NaN
		add("rate_per_second", "0 sets no limit", "rate_per_second is %g; it is 0 or more", t.RatePerSecond)
	}
}

func kindNames() []string {
	kinds := tracking.Kinds()
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	return names
}

func checkTenantPreferences(p tenantPreferences, add addFinding) {
	if l := p.Language; l != "" {
		if _, err := language.Parse(l); err != nil {
			add("preferences.language", "write one such as es-PE", "language %q is no language tag (BCP 47)", l)
		}
	}
	if zone := p.TimeZone; zone != "" {
		if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
			add("preferences.time_zone", "write one such as America/Lima", "time_zone %q is not in the IANA time zone database", zone)
		}
	}
}

// place returns where a key of a tenant stands, or else the tenant; zeros when that cannot be told.
func (c *tenantCheck) place(i int, key string) (line, column int) {
	for _, at := range []string{fmt.Sprintf("$.tenants[%d].%s", i, key), fmt.Sprintf("$.tenants[%d]", i)} {
		path, err := yaml.PathString(at)
		if err != nil || c.body == nil {
			return 0, 0
		}
		node, err := path.FilterNode(c.body)
		if err != nil || node == nil {
			continue
		}
		t := node.GetToken()
		if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
			t = mapping.Values[0].Key.GetToken()
		}
		if t != nil && t.Position != nil {
			return t.Position.Line, t.Position.Column
		}
	}
	return 0, 0
}
