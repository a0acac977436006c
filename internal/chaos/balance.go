package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/rastrohq/rastro/internal/devstack/simulator"
)

// balance is what the ledger says of all tenants and pipelines together.
type balance struct {
	Received     int64 `json:"received"`
	Emitted      int64 `json:"emitted"`
	Passed       int64 `json:"passed"`
	Duplicates   int64 `json:"duplicates"`
	Dropped      int64 `json:"dropped"`
	DeadLettered int64 `json:"dead_lettered"`
	Twice        int64 `json:"twice"`
	Unreceived   int64 `json:"unreceived"`
	InFlight     int64 `json:"in_flight"`
}

// settled reports whether all that came in has ended, once.
func (b balance) settled() bool {
	return b.InFlight == 0 && b.Twice == 0 && b.Unreceived == 0 &&
		b.Received+b.Emitted == b.Passed+b.Duplicates+b.Dropped+b.DeadLettered
}

func (b *balance) add(other balance) {
	b.Received += other.Received
	b.Emitted += other.Emitted
	b.Passed += other.Passed
	b.Duplicates += other.Duplicates
	b.Dropped += other.Dropped
	b.DeadLettered += other.DeadLettered
	b.Twice += other.Twice
	b.Unreceived += other.Unreceived
	b.InFlight += other.InFlight
}

// balance asks the query role how everything reconciles; nil when it keeps no ledger.
func (s *stack) balance(ctx context.Context, at *seat) (*balance, error) {
	var all balance
	for _, tenant := range simulator.DefaultTenants() {
		status, body, err := s.get(ctx, at, tenant, "/api/v1/stats/balance")
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusNotFound:
			return nil, nil //nolint:nilnil // no ledger is kept
		case status != http.StatusOK:
			return nil, fmt.Errorf("balance of %s: answered %d: %s", tenant, status, body)
		}
		var answer any
		if err := json.Unmarshal(body, &answer); err != nil {
			return nil, fmt.Errorf("balance of %s: %w", tenant, err)
		}
		found, err := sumBalances(answer)
		if err != nil {
			return nil, fmt.Errorf("balance of %s: %w: %s", tenant, err, body)
		}
		all.add(found)
	}
	return &all, nil
}

// sumBalances adds up the balances of pipelines, wherever in an answer they stand.
func sumBalances(answer any) (balance, error) {
	var sum balance
	switch value := answer.(type) {
	case []any:
		for _, each := range value {
			found, err := sumBalances(each)
			if err != nil {
				return sum, err
			}
			sum.add(found)
		}
	case map[string]any:
		if _, is := value["in_flight"]; is {
			encoded, err := json.Marshal(value)
			if err == nil {
				err = json.Unmarshal(encoded, &sum)
			}
			return sum, err
		}
		for _, each := range value {
			found, err := sumBalances(each)
			if err != nil {
				return sum, err
			}
			sum.add(found)
		}
	}
	return sum, nil
}
