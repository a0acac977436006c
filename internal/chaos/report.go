package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// report is what came of a run.
type report struct {
	Broker  string         `json:"broker"`
	Seed    uint64         `json:"seed"`
	Seconds float64        `json:"seconds"`
	Kills   map[string]int `json:"kills"`             // by role
	Crashes map[string]int `json:"crashes,omitempty"` // by point
	Load    tally          `json:"load"`
	*verdict
	// Asked and ShownWrong are the traces that the query role was asked for, and those that it showed otherwise than they are stored.
	Asked      int `json:"traces_asked"`
	ShownWrong int `json:"traces_shown_wrong"`
	// Balance is null where no ledger is kept.
	Balance *balance `json:"balance"`
	// Deaths are processes that ended although nobody killed them, Faults answers that no client may get.
	Deaths []string `json:"deaths,omitempty"`
	Faults []string `json:"faults,omitempty"`
	OK     bool     `json:"ok"`
}

// ok reports whether everything is as it was promised.
func (r *report) ok() bool {
	return r != nil && r.verdict != nil && r.Distinct > 0 && r.sound() && len(r.Deaths) == 0 && len(r.Faults) == 0 &&
		r.Counted <= int64(r.Load.Accepted+r.Load.Unanswered)
}

// sound reports whether what is stored is what it must be.
func (r *report) sound() bool { return r.bad() == 0 && r.ShownWrong == 0 && r.balanced() }

func (r *report) balanced() bool {
	return r.Balance == nil || r.Balance.settled() && r.Balance.Passed == int64(r.Stored) && r.Balance.DeadLettered == int64(r.DeadLetters)
}

// print writes the summary.
func (r *report) print(w io.Writer) {
	line := func(what string, value any, remark string) {
		_, _ = fmt.Fprintf(w, "  %-22s %8v   %s\n", what, value, remark)
	}
	_, _ = fmt.Fprintf(w, "\n%s, seed %d, %.0f s\n", r.Broker, r.Seed, r.Seconds)
	for _, role := range slices.Sorted(maps.Keys(r.Kills)) {
		line("kills of "+role, r.Kills[role], "by kill -9")
	}
	for _, point := range slices.Sorted(maps.Keys(r.Crashes)) {
		line("crashes at "+point, r.Crashes[point], "by itself")
	}
	line("sent", r.Load.Sent, "deliveries, each try counted")
	line("unanswered", r.Load.Unanswered, "sent again until they were answered")
	line("accepted", r.Load.Accepted, fmt.Sprintf("of %d events", r.Distinct))
	line("counted as accepted", r.Counted, "a killed process takes its last half second of counts with it")
	line("rejected", r.Load.Rejected, fmt.Sprintf("of %d that had to be", r.Load.Malformed))
	line("stored", r.Stored, fmt.Sprintf("in %d traces", r.Traces))
	line("duplicates dropped", r.Duplicates, "of those accepted")
	line("dead letters", r.DeadLetters, "")
	line("LOST", r.Lost, "")
	line("DOUBLE", r.Double, "")
	line("unknown", r.Unknown, "stored, and not to be")
	line("altered", r.Altered, "stored otherwise than sent")
	line("unburied", r.Unburied, "to be dead letters, and are not")
	line("undeserved", r.Undeserved, "dead letters that had to be stored")
	line("wrong traces", r.WrongTrace, "not the fold of their events")
	line("shown wrong", r.ShownWrong, fmt.Sprintf("of %d traces asked for", r.Asked))
	if b := r.Balance; b != nil {
		line("balance", b.InFlight+b.Twice+b.Unreceived, fmt.Sprintf("%+v", *b))
	}
	for _, lines := range [][]string{r.examples, r.Deaths, r.Faults} {
		for i, text := range lines {
			if i == mostExamples {
				_, _ = fmt.Fprintf(w, "  ! and %d more\n", len(lines)-i)
				break
			}
			_, _ = fmt.Fprintf(w, "  ! %s\n", text)
		}
	}
	word := "nothing lost, nothing double"
	if !r.ok() {
		word = "FAILED"
	}
	_, _ = fmt.Fprintf(w, "  %s\n", word)
}
