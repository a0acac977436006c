package live

import (
	"fmt"
	"strconv"
	"time"

	"github.com/rastrohq/rastro/store"
)

// alertMessage says in a sentence what is wrong.
func alertMessage(a Alert) string {
	s, stage := a.Subject, a.Subject.Pipeline+"."+a.Subject.Stage
	value, limit := measured(a.Value, a.Unit), measured(a.Limit, a.Unit)
	switch a.Kind {
	case alertBreaker:
		if a.Severity == store.AlertCritical {
			return "Stage " + stage + " waits for what it depends on: its circuit breaker is open"
		}
		return "Stage " + stage + " tries again what it depends on: its circuit breaker is half-open"
	case alertProcessors:
		return fmt.Sprintf("No process says that it runs %s stages of pipeline %s", value, s.Pipeline)
	case alertQueueLag:
		return fmt.Sprintf("The first message of %s has waited for %s; pipeline %s does not keep up", s.Topic, value, s.Pipeline)
	case alertQueueGrows:
		return fmt.Sprintf("%s messages wait in %s, and they become more; pipeline %s does not keep up", value, s.Topic, s.Pipeline)
	case alertUntold:
		return fmt.Sprintf("The broker does not tell what waits in %s queues", value)
	case alertConfig:
		return fmt.Sprintf("The configuration has %s errors: no process takes it", value)
	case alertPartitions:
		return fmt.Sprintf("%s partitions of the next days are missing in the database", value)
	case alertStageLate:
		return fmt.Sprintf("Events that pass stage %s were received %s ago; %s is allowed", stage, value, limit)
	case alertSlow:
		return fmt.Sprintf("Events of pipeline %s take %s to be stored; %s is allowed", s.Pipeline, value, limit)
	case alertRetries:
		return fmt.Sprintf("Stage %s tries %s of its events again", stage, value)
	case alertBalance:
		return balanceMessage(s, value)
	case alertLetters:
		return fmt.Sprintf("Stage %s rejects %s of its events: %s", stage, value, s.Reason)
	case alertOpenLetters:
		return fmt.Sprintf("%s dead letters wait for somebody to decide", value)
	case alertSilent:
		return fmt.Sprintf("%s has sent nothing for %s; it may pause for %s", s.Source, value, limit)
	case alertRejected:
		return fmt.Sprintf("%s of the events of %s are dead-lettered", value, s.Source)
	case alertUnmapped:
		return fmt.Sprintf("%s of the events of %s have a code that maps to nothing", value, s.Source)
	}
	return a.Kind
}

func balanceMessage(s store.AlertSubject, value string) string {
	switch s.Reason {
	case offTwice:
		return fmt.Sprintf("%s events of pipeline %s ended twice", value, s.Pipeline)
	case offUnreceived:
		return fmt.Sprintf("%s events of pipeline %s ended and were never received", value, s.Pipeline)
	}
	return fmt.Sprintf("%s events of pipeline %s came and did not end, and nothing waits for it", value, s.Pipeline)
}

// measured is a value with its unit, for people.
func measured(value float64, unit string) string {
	switch unit {
	case unitMS:
		d := time.Duration(value * float64(time.Millisecond))
		if d >= 10*time.Second {
			d = d.Round(time.Second)
		}
		return d.Round(time.Millisecond).String()
	case unitShare:
		return strconv.FormatFloat(rounded(100*value), 'f', -1, 64) + "%"
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}
