package store

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/tracking"
)

const benchBatch = 500

// benchEvents makes events of which every four share a journey, as in a frame of a busy carrier.
func benchEvents(n, from int) []*tracking.Event {
	events := make([]*tracking.Event, n)
	for i := range events {
		e := newEvent("acme", fmt.Sprint("c", (from+i)/4), fmt.Sprint("e", from+i))
		e.Location = &tracking.Location{IATA: "LIM"}
		e.Payload = json.RawMessage(
			`{"bag_tag": "0045123456", "flight": "LA2047", "location": "LIM", "device": "scanner-17", "weight": 21.5}`)
		events[i] = e
	}
	return events
}

// BenchmarkPersist measures what the traces cost: "raw" is the insert of the events alone, in the same table and shape.
func BenchmarkPersist(b *testing.B) {
	report := func(b *testing.B) {
		b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "events/s")
	}
	b.Run("persist", func(b *testing.B) {
		s := open(b)
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			events := benchEvents(benchBatch, i*benchBatch)
			b.StartTimer()
			results, err := s.Persist(b.Context(), events)
			require.NoError(b, err)
			require.True(b, results[0].Inserted)
		}
		report(b)
	})
	// What personal data costs: every event says something of a person, two of each. The same events without are "persist".
	b.Run("personal", func(b *testing.B) {
		ring, err := seal.ParseRing(seal.NewMaster())
		require.NoError(b, err)
		s, err := Open(b.Context(), Config{URL: databases.URL(b), PersonalKeys: ring})
		require.NoError(b, err)
		b.Cleanup(s.Close)
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			events := benchEvents(benchBatch, i*benchBatch)
			for j, e := range events {
				e.Personal = &tracking.Personal{
					Subject: fmt.Sprint("C-", (i*benchBatch+j)/2), Data: json.RawMessage(`{"name":"Quispe Mamani, Ana","seat":"12A"}`),
				}
			}
			b.StartTimer()
			results, err := s.Persist(b.Context(), events)
			require.NoError(b, err)
			require.True(b, results[0].Inserted)
		}
		report(b)
	})
	b.Run("raw", func(b *testing.B) {
		s := open(b)
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			rows := make([]eventRow, benchBatch)
			for j, e := range benchEvents(benchBatch, i*benchBatch) {
				row, err := rowOf(e)
				require.NoError(b, err)
				rows[j] = row
			}
			b.StartTimer()
			tag, err := s.pool.Exec(b.Context(), insertEvents, insertArgs(rows)...)
			require.NoError(b, err)
			require.EqualValues(b, benchBatch, tag.RowsAffected())
		}
		report(b)
	})
	b.Run("copy", func(b *testing.B) {
		s := open(b)
		columns := []string{
			"uid", "tenant_id", "correlation_id", "aggregate_id", "source", "event_id", "revision", "kind", "event_type", "classifier",
			"milestone", "time_quality", "occurred_at", "utc_offset_minutes", "received_at", "payload", "details",
		}
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			events := benchEvents(benchBatch, i*benchBatch)
			b.StartTimer()
			source := pgx.CopyFromSlice(benchBatch, func(j int) ([]any, error) {
				row, err := rowOf(events[j])
				return []any{
					row.UID, row.TenantID, row.CorrelationID, row.AggregateID, row.Source, row.EventID, row.Revision, string(row.Kind),
					row.Type, string(row.Classifier), string(row.Enrichment.Milestone), string(row.TimeQuality), row.OccurredAt, 0,
					row.ReceivedAt, []byte(row.Payload), row.details,
				}, err
			})
			_, err := s.pool.CopyFrom(b.Context(), pgx.Identifier{"event_store"}, columns, source)
			require.NoError(b, err)
		}
		report(b)
	})
}

func BenchmarkClaim(b *testing.B) {
	s := open(b)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		claims := make([]Claim, benchBatch)
		for j := range claims {
			claims[j] = Claim{key(fmt.Sprint(i, "-", j)), newUID()}
		}
		b.StartTimer()
		_, err := s.Claim(b.Context(), hours72, claims)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "claims/s")
}
