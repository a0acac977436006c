package live

import (
	"errors"
	"fmt"
	"time"
)

// AlertConfig says from when on something is wrong, and how soon that is told.
type AlertConfig struct {
	// Every is how often it is looked for what is wrong, by one of the processes. Defaults to 15 s.
	Every time.Duration
	// Linger is how long an alert stays that is not found any more, so that what comes and goes is told of once. Defaults to 30 s.
	Linger time.Duration
	// Late and VeryLate are how old events may be that pass a stage (19 of 20 of them), and the first message that waits in a queue, before
	// that is a warning, and critical. They default to 30 s and 2 min.
	Late, VeryLate time.Duration
	// Slow is how long an event may take from received to stored, and SlowShare which share may take longer, of the last five minutes and of
	// the last half hour. They default to 4.096 s, as the objective of the metrics, and 0.06.
	Slow      time.Duration
	SlowShare float64
	// Backlog is how many messages may wait in a queue however their number grows, GrowingFor how long more come than go before that is
	// told, and GrowthShare by which share they must have become more by then. They default to 100, 5 min and 0.25.
	Backlog     int64
	GrowingFor  time.Duration
	GrowthShare float64
	// MissingFor is how long no process may say that it runs a pipeline's stages, UntoldFor how long the broker may not tell of a queue. They
	// default to 1 min and 5 min.
	MissingFor, UntoldFor time.Duration
	// SilentAfter is how long any source may send nothing, and SilentTimes how often as long as it usually pauses: beyond both it is silent. They
	// default to 10 min and 2.
	SilentAfter time.Duration
	SilentTimes float64
	// Recent is of how long shares are taken, and MinEvents how many events it takes for one. They default to 30 min and 20.
	Recent    time.Duration
	MinEvents int64
	// RejectedShare and ManyRejected are which share of the events of a pipeline or a source may be dead-lettered before that is a warning, and
	// critical. They default to 0.01 and 0.1.
	RejectedShare, ManyRejected float64
	// UnmappedShare is which share of the stored events of a source may have a code that maps to nothing. Defaults to 0.02.
	UnmappedShare float64
	// RetriedShare is which share of a stage's outcomes in the last five minutes may be that an event is to be tried again. Defaults to 0.1.
	RetriedShare float64
	// BalanceAfter is how long what a pipeline received may be in flight while nothing waits in its queues, and an ending without a beginning
	// may stand. Defaults to 15 min.
	BalanceAfter time.Duration
	// MaxSilence is for how long an alert can be silenced. Defaults to 7 days.
	MaxSilence time.Duration
}

// DefaultAlertConfig returns the defaults.
func DefaultAlertConfig() AlertConfig {
	return AlertConfig{
		Every: 15 * time.Second, Linger: 30 * time.Second, Late: 30 * time.Second, VeryLate: 2 * time.Minute,
		Slow: 4096 * time.Millisecond, SlowShare: 0.06, Backlog: 100, GrowingFor: 5 * time.Minute, GrowthShare: 0.25,
		MissingFor: time.Minute, UntoldFor: 5 * time.Minute, SilentAfter: 10 * time.Minute, SilentTimes: 2,
		Recent: 30 * time.Minute, MinEvents: 20, RejectedShare: 0.01, ManyRejected: 0.1, UnmappedShare: 0.02, RetriedShare: 0.1,
		BalanceAfter: 15 * time.Minute, MaxSilence: 7 * 24 * time.Hour,
	}
}

// Validate reports what is wrong with the configuration.
func (c AlertConfig) Validate() error {
	var errs []error
	check := func(ok bool, name string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v; give it %s", name, value, want))
		}
	}
	for name, d := range map[string]time.Duration{
		"Every": c.Every, "Late": c.Late, "Slow": c.Slow, "GrowingFor": c.GrowingFor, "SilentAfter": c.SilentAfter, "BalanceAfter": c.BalanceAfter,
	} {
		check(d > 0, name, d, "more than 0")
	}
	for name, d := range map[string]time.Duration{"Linger": c.Linger, "MissingFor": c.MissingFor, "UntoldFor": c.UntoldFor} {
		check(d >= 0, name, d, "0 or more")
	}
	for name, share := range map[string]float64{
		"SlowShare": c.SlowShare, "RejectedShare": c.RejectedShare, "ManyRejected": c.ManyRejected, "UnmappedShare": c.UnmappedShare, "RetriedShare": c.RetriedShare,
	} {
		check(share > 0 && share <= 1, name, share, "a share, more than 0 and up to 1")
	}
	check(c.VeryLate >= c.Late, "VeryLate", c.VeryLate, "Late or more")
	check(c.ManyRejected >= c.RejectedShare, "ManyRejected", c.ManyRejected, "RejectedShare or more")
	check(c.SilentTimes >= 1, "SilentTimes", c.SilentTimes, "1 or more")
	check(c.GrowthShare > 0, "GrowthShare", c.GrowthShare, "more than 0")
	check(c.Backlog >= 0, "Backlog", c.Backlog, "0 or more")
	check(c.MinEvents >= 1, "MinEvents", c.MinEvents, "1 or more")
	check(c.Recent >= 5*time.Minute && c.Recent <= 24*time.Hour, "Recent", c.Recent, "5 minutes to a day")
	check(c.MaxSilence >= time.Minute, "MaxSilence", c.MaxSilence, "a minute or more")
	return errors.Join(errs...)
}

// late is how bad it is that something is as old as that; false when it is not.
func (c AlertConfig) late(age time.Duration) (severity string, is bool) {
	return graded(age > c.Late, age > c.VeryLate)
}

// silentBeyond returns how long a source may send nothing that usually pauses for so long; 0 when that is not known.
func (c AlertConfig) silentBeyond(usual time.Duration) time.Duration {
	if usual <= 0 {
		return 0
	}
	return max(c.SilentAfter, time.Duration(c.SilentTimes*float64(usual)))
}
