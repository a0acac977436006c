package store

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// retentionRule is how long a tenant keeps journeys of a kind.
type retentionRule struct {
	kind   string    // empty: all that have no rule of their own
	days   int       // 0: for ever
	before time.Time // journeys whose last event was received before are over; zero: none is
}

// over reports whether a journey is over whose last event was received at an instant.
func (r retentionRule) over(last time.Time) bool { return r.days > 0 && last.Before(r.before) }

// retentionRules are those of a tenant: for kinds, and for the others.
type retentionRules struct {
	kinds  map[string]retentionRule
	others retentionRule
}

// of returns the rule for a kind.
func (r retentionRules) of(kind string) retentionRule {
	if rule, ok := r.kinds[kind]; ok {
		return rule
	}
	return r.others
}

// all returns the rules in the order of their kinds, that for the others first.
func (r retentionRules) all() []retentionRule {
	rules := append(make([]retentionRule, 0, 1+len(r.kinds)), r.others)
	for _, kind := range slices.Sorted(maps.Keys(r.kinds)) {
		rules = append(rules, r.kinds[kind])
	}
	return rules
}

// days returns the shortest time that anything is kept, and the longest; 0 for ever.
func (r retentionRules) days() (shortest, longest int) {
	rules := r.all()
	forever := func(rule retentionRule) int {
		if rule.days == 0 {
			return maxRetentionDays + 1
		}
		return rule.days
	}
	byDays := func(a, b retentionRule) int { return cmp.Compare(forever(a), forever(b)) }
	return slices.MinFunc(rules, byDays).days, slices.MaxFunc(rules, byDays).days
}

// retentionPolicy is how long whose journeys are kept.
type retentionPolicy struct {
	tenants map[string]retentionRules
	rest    retentionRules // of tenants without settings
}

// maxRetentionDays keeps times within what PostgreSQL and JSON can write: more is for ever.
const maxRetentionDays = 365 * 1000

func newRetentionPolicy(tenants []Tenant, defaultDays int, now time.Time) retentionPolicy {
	now = now.UTC().Truncate(time.Microsecond)
	rule := func(kind string, days int) retentionRule {
		if days == 0 || days > maxRetentionDays {
			return retentionRule{kind: kind}
		}
		return retentionRule{kind, days, now.AddDate(0, 0, -days)}
	}
	p := retentionPolicy{tenants: map[string]retentionRules{}, rest: retentionRules{others: rule("", defaultDays)}}
	for _, t := range tenants {
		rules := retentionRules{kinds: map[string]retentionRule{}, others: rule("", cmp.Or(t.RetentionDays, defaultDays))}
		for kind, days := range t.RetentionByKind {
			rules.kinds[kind] = rule(kind, days)
		}
		p.tenants[t.ID] = rules
	}
	return p
}

// of returns the rules of a tenant.
func (p retentionPolicy) of(tenant string) retentionRules {
	if rules, ok := p.tenants[tenant]; ok {
		return rules
	}
	return p.rest
}

// keepsAll reports whether everything is kept for ever.
func (p retentionPolicy) keepsAll() bool {
	all := append(slices.Collect(maps.Values(p.tenants)), p.rest)
	return !slices.ContainsFunc(all, func(rules retentionRules) bool {
		return slices.ContainsFunc(rules.all(), func(rule retentionRule) bool { return rule.days > 0 })
	})
}
