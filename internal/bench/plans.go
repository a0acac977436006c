package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

// plans asks each kind of question once more while PostgreSQL writes into its log how it goes about it.
func (b *queryBench) plans(ctx context.Context, kinds []queryKind) ([]storedPlan, error) {
	for _, set := range []string{
		"session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0", "auto_explain.log_analyze = on", "auto_explain.log_buffers = on",
	} {
		if _, err := b.conn.Exec(ctx, "LOAD 'auto_explain'"); err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
		if _, err := b.conn.Exec(ctx, "ALTER SYSTEM SET "+set); err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
	}
	// Connections from now on explain themselves.
	if _, err := b.conn.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	if _, err := b.conn.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	var plans []storedPlan
	for _, kind := range kinds {
		plan, err := b.planOf(ctx, kind)
		if err != nil {
			return nil, err
		}
		plans = append(plans, storedPlan{kind.What, plan})
	}
	return plans, nil
}

// planOf asks one question and returns what PostgreSQL did for it.
func (b *queryBench) planOf(ctx context.Context, kind queryKind) (string, error) {
	for attempt := range 20 { // connections were just broken
		from, err := os.Stat(b.log)
		if err != nil {
			return "", fmt.Errorf("read PostgreSQL's log: %w", err)
		}
		status, _, err := b.stack.do(ctx, b.client, http.MethodGet, kind.paths[attempt%len(kind.paths)], "")
		if err != nil {
			return "", err
		}
		if status != http.StatusOK {
			pause(ctx, 200*time.Millisecond)
			continue
		}
		log, err := os.ReadFile(b.log)
		if err != nil {
			return "", fmt.Errorf("read PostgreSQL's log: %w", err)
		}
		if plan := plansIn(log[min(int64(len(log)), from.Size()):]); plan != "" {
			return plan, nil
		}
	}
	return "", fmt.Errorf("explain %s: PostgreSQL does not say", kind.What)
}

var (
	logLine = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d `)
	// ofTables says that a plan reads what is asked for.
	ofTables = regexp.MustCompile(`event_store|traces|trace_facets`)
	// isQuestion says that a plan is of a query, and of none that the background asks.
	isQuestion = regexp.MustCompile(`Query Text:\s*(SELECT|WITH)`)
)

// plansIn returns the plans of queries of events and traces in a part of the log.
func plansIn(log []byte) string {
	var plans []string
	starts := append(logLine.FindAllIndex(log, -1), []int{len(log), 0})
	for i, at := range starts[:len(starts)-1] {
		entry := log[at[0]:starts[i+1][0]]
		if bytes.Contains(entry, []byte("plan:")) && ofTables.Match(entry) && isQuestion.Match(entry) {
			_, plan, _ := strings.Cut(string(entry), "plan:")
			plans = append(plans, strings.TrimSpace(plan))
		}
	}
	return strings.Join(plans, "\n")
}
