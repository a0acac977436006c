package live

import "time"

// How stages and queues do, for marks beside them. What is said here and what alerts say go by the same limits.
const (
	healthOK   = "ok"
	healthWarn = "warn"
	healthBad  = "bad"
	healthIdle = "idle"
	// healthPaused is of what stands still because somebody wants it to.
	healthPaused = "paused"
)

// repeatedShare is from which share on it is worth a word that a source's events are copies.
const repeatedShare = 0.1

// healthOfAge says how bad it is that something is so old; nil is not known.
func (c AlertConfig) healthOfAge(ms *float64) string {
	if ms == nil {
		return healthOK
	}
	age := time.Duration(*ms * float64(time.Millisecond))
	switch {
	case age > c.VeryLate:
		return healthBad
	case age > c.Late:
		return healthWarn
	}
	return healthOK
}

// healthOfStage says how a stage does: how late it is, what it rejects and tries again, and what its breakers say.
func (c AlertConfig) healthOfStage(s Stage) string {
	health := c.healthOfAge(s.Now.Age)
	switch {
	case s.Breaker == "open" || health == healthBad:
		return healthBad
	case s.Processes == 0 && s.Breaker == "unknown" && s.Now.In == 0:
		return healthIdle
	case s.Breaker == "half-open" || s.Now.Rejected > 0 || s.Now.Retried > 0:
		return healthWarn
	}
	return health
}

// healthOfQueue says how a queue does: how long its first message waits, and whether many do and become more.
func (c AlertConfig) healthOfQueue(q Queue) string {
	if q.Paused != nil {
		return healthPaused
	}
	age := q.HeadMS
	if age == nil && q.Ready != nil && *q.Ready > 0 {
		age = q.OldestMS
	}
	health := c.healthOfAge(age)
	if health == healthOK && q.Trend == "growing" && *q.Depth > c.Backlog {
		return healthWarn
	}
	return health
}

// healthOfCarrier says what is to be said of a carrier first.
func (c AlertConfig) healthOfCarrier(s Carrier) string {
	from := func(share *float64, limit float64) bool { return share != nil && *share >= limit }
	switch {
	case s.Silent:
		return "silent"
	case from(s.Errors, c.RejectedShare):
		return "failing"
	case from(s.Unknown, c.UnmappedShare):
		return "unmapped"
	case from(s.Duplicates, repeatedShare):
		return "repeating"
	case s.UsualGapMS == nil && s.Errors == nil:
		return "unknown"
	}
	return "fine"
}
