package store

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/faults"
	"github.com/rastrohq/rastro/tracking"
)

// A database that hangs, or that the network swallows, sends no error and closes no connection: whoever asks it must be told all
// the same, and find it again once it is back.
func TestASilentDatabaseIsAnError(t *testing.T) {
	t.Parallel()
	target, err := url.Parse(databases.URL(t))
	require.NoError(t, err)
	proxy, err := faults.Start(target.Host)
	require.NoError(t, err)
	t.Cleanup(proxy.Stop)
	target.Host = proxy.Address()
	s, err := Open(t.Context(), Config{URL: target.String(), StatementTimeout: 200 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.AddTenants(t.Context(), []Tenant{{ID: "talma-pe", Active: true}}))
	event := newEvent("talma-pe", "SILENT", "e-1")
	window := Window{ID: [32]byte{1}, TenantID: "talma-pe", Start: time.Now(), End: time.Now().Add(time.Hour), ClosesAt: time.Now().Add(time.Hour)}
	owner := WindowOwner{Pipeline: "p", Stage: "s"}

	holder := uuid.Must(uuid.NewV7())
	known := func(err, fine error) error {
		if errors.Is(err, fine) {
			return nil
		}
		return err
	}

	operations := map[string]func(context.Context) error{
		"persist": func(ctx context.Context) error {
			_, err := s.Persist(ctx, []*tracking.Event{event})
			return err
		},
		"claim": func(ctx context.Context) error {
			_, err := s.Claim(ctx, time.Hour, []Claim{{Key: [32]byte{1}, UID: event.UID}})
			return err
		},
		"dead letters": func(ctx context.Context) error {
			return s.AddDeadLetters(ctx, []DeadLetter{{UID: event.UID, TenantID: "talma-pe", Pipeline: "p", Stage: "s", Event: []byte("{}"), At: time.Now()}})
		},
		"counts": func(ctx context.Context) error {
			return s.AddStats(ctx, time.Now(), []StatDelta{{TenantID: "talma-pe", Pipeline: "p", Stage: "s", Outcome: "pass", Events: 1}})
		},
		"ledger": func(ctx context.Context) error {
			return s.AddLedger(ctx, "p", []LedgerMark{{TenantID: "talma-pe", Frame: event.UID, Received: 1}}, nil, trailOf("talma-pe", event.UID))
		},
		"passport": func(ctx context.Context) error {
			_, err := s.Passport(ctx, "talma-pe", event.UID)
			return known(err, ErrNotFound) // until one of the others has stored it
		},
		"match": func(ctx context.Context) error {
			_, err := s.MatchTraces(ctx, "talma-pe", TraceFilter{Sources: []string{"x"}}, []string{"SILENT"})
			return err
		},
		"captures": func(ctx context.Context) error {
			return s.SaveCaptures(ctx, []Capture{{TenantID: "talma-pe", ID: event.UID, CreatedAt: time.Now(), FinishedAt: time.Now()}})
		},
		"capture": func(ctx context.Context) error {
			_, err := s.Capture(ctx, "talma-pe", "x", event.UID)
			return known(err, ErrNotFound)
		},
		"list captures": func(ctx context.Context) error {
			_, err := s.Captures(ctx, "talma-pe", "x", nil, 1)
			return err
		},
		"prune timings":  func(ctx context.Context) error { return s.PruneTimings(ctx, time.Now()) },
		"prune changes":  func(ctx context.Context) error { return s.PruneChanges(ctx, time.Now()) },
		"prune personal": func(ctx context.Context) error { _, err := s.PrunePersonal(ctx, time.Now()); return err },
		"partitions":     func(ctx context.Context) error { return s.EnsurePartitions(ctx, time.Now()) },
		"prune ledger":   func(ctx context.Context) error { return s.PruneLedger(ctx, time.Now()) },
		"claim job": func(ctx context.Context) error {
			_, _, err := s.ClaimLetterJob(ctx, holder, time.Minute)
			return err
		},
		"release job": func(ctx context.Context) error { return s.ReleaseLetterJob(ctx, uuid.Must(uuid.NewV7()), holder) },
		"hold job": func(ctx context.Context) error {
			return known(s.HoldLetterJob(ctx, uuid.Must(uuid.NewV7()), holder, time.Minute, ""), ErrLeaseLost)
		},
		"take letters": func(ctx context.Context) error {
			_, _, _, err := s.TakeLetters(ctx, uuid.Must(uuid.NewV7()), holder, time.Minute, 1)
			return known(err, ErrLeaseLost)
		},
		"start job": func(ctx context.Context) error {
			_, err := s.StartLetterJob(ctx, NewLetterJob{TenantID: "talma-pe", Action: LetterDiscard, Reason: "test", Rate: 1})
			return err
		},
		"cancel job": func(ctx context.Context) error {
			return known(s.CancelLetterJob(ctx, "talma-pe", uuid.Must(uuid.NewV7()), Actor{Subject: "x"}), ErrNotFound)
		},
		"settle letters": func(ctx context.Context) error {
			_, err := s.SettleLetters(ctx)
			return err
		},
		"tenant": func(ctx context.Context) error {
			_, err := s.Tenant(ctx, "talma-pe")
			return err
		},
		"tenants": func(ctx context.Context) error {
			_, err := s.Tenants(ctx)
			return err
		},
		"join": func(ctx context.Context) error {
			_, err := s.JoinWindows(ctx, owner, time.Now(), []Window{window}, []WindowMember{{Window: window.ID, UID: uuid.Must(uuid.NewV7())}})
			return err
		},
		"due": func(ctx context.Context) error {
			_, err := s.DueWindows(ctx, owner, WindowLease{Holder: uuid.Must(uuid.NewV7()), For: time.Minute}, time.Now(), 10)
			return err
		},
		"members": func(ctx context.Context) error {
			return s.EachWindowMember(ctx, [][32]byte{window.ID}, func(WindowMember) error { return nil })
		},
		"sent": func(ctx context.Context) error { return s.SentWindows(ctx, time.Now(), [][32]byte{window.ID}) },
		"prune": func(ctx context.Context) error {
			_, err := s.PruneWindows(ctx, owner, time.Now(), 10)
			return err
		},
	}
	for name, operation := range operations {
		require.NoError(t, operation(t.Context()), name)
	}

	require.NoError(t, proxy.Silence())
	bound := s.config.StatementTimeout + answerTime
	type outcome struct {
		name string
		took time.Duration
		err  error
	}
	outcomes := make(chan outcome, len(operations))
	patience, cancel := context.WithTimeout(t.Context(), bound+10*time.Second)
	defer cancel()
	for name, operation := range operations {
		go func() {
			start := time.Now()
			err := operation(patience)
			outcomes <- outcome{name, time.Since(start), err}
		}()
	}
	for range operations {
		o := <-outcomes
		require.Error(t, o.err, o.name)
		require.Less(t, o.took, bound+5*time.Second, "%s waits for what does not come", o.name)
	}

	require.NoError(t, proxy.Mend())
	for name, operation := range operations {
		require.Eventually(t, func() bool { return operation(t.Context()) == nil }, 20*time.Second, 50*time.Millisecond, name)
	}
}
