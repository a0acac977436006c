package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/internal/devstack/postgres"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

const (
	// ceilingBatch is how many events go to the database at once, as under load: the shipped pipeline persists up to twice as many.
	ceilingBatch = 2500
	// growthBatch is how many do where their number is not what is asked for: tenants, and sizes.
	growthBatch = 500
	// ceilingTime is how long each way to store is tried, at most; ceilingRounds how often.
	ceilingTime   = 6 * time.Second
	ceilingRounds = 60
	warmRounds    = 5
	// ceilingGarbage is how much garbage there may be, in percent of what is in use. This process holds next to nothing and would
	// collect garbage for every batch; a processor, which holds what it works on, does so several times as rarely.
	ceilingGarbage = 400
	// frameEvents and frameBytes are what a message of a hundred events holds, in the broker's figures.
	frameEvents = 100
	frameBytes  = 40 << 10
	// frames is how many messages the broker's figures are taken from.
	frames = 2000
)

// The plainest way to store events and to keep a row of each journey up to date: what PostgreSQL itself takes of the same data in the
// same tables, with their indexes.
const (
	rawInsert = `
INSERT INTO event_store (uid, tenant_id, correlation_id, aggregate_id, source, event_id, revision, kind, event_type, classifier, milestone,
    time_quality, occurred_at, utc_offset_minutes, received_at, payload)
SELECT uid, 'acme', correlation_id, correlation_id, 'LA', event_id, 0, 'baggage', 'loaded', 'actual', 'loaded', '', occurred_at, 0, received_at, payload::json
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])
    AS e (uid, correlation_id, event_id, occurred_at, received_at, payload)`
	rawUpsert = `
INSERT INTO traces AS t (tenant_id, correlation_id, aggregate_id, kind, status, first_event_at, last_event_at, event_count, updated_at)
SELECT 'acme', correlation_id, correlation_id, 'baggage', 'loaded', min(occurred_at), max(occurred_at), count(*), max(received_at)
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS e (correlation_id, occurred_at, received_at) GROUP BY correlation_id
ON CONFLICT (tenant_id, correlation_id) DO UPDATE SET event_count = t.event_count + excluded.event_count, status = excluded.status,
    last_event_at = greatest(t.last_event_at, excluded.last_event_at), updated_at = excluded.updated_at`
)

// database is a PostgreSQL of its own with our tables.
type database struct {
	store  *store.Store
	conn   *pgx.Conn
	second *pgx.Conn
	rounds map[string]int // of each kind of journey
	close  func() error
}

func startDatabase(ctx context.Context) (*database, error) {
	data, err := dataFolder()
	if err != nil {
		return nil, err
	}
	server, err := postgres.Start(ctx, postgres.Config{DataDir: filepath.Join(data, "postgres")})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(data))
	}
	d := &database{rounds: map[string]int{}}
	d.close = func() error {
		if d.store != nil {
			d.store.Close()
		}
		var err error
		for _, conn := range []*pgx.Conn{d.conn, d.second} {
			if conn != nil {
				err = errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
			}
		}
		return errors.Join(err, server.Stop(context.WithoutCancel(ctx)), os.RemoveAll(data))
	}
	if err = store.Migrate(ctx, server.URL(), slog.New(slog.DiscardHandler)); err == nil {
		d.store, err = store.Open(ctx, store.Config{URL: server.URL()})
	}
	if err == nil {
		err = d.store.EnsurePartitions(ctx, time.Now())
	}
	if err == nil {
		d.conn, err = pgx.Connect(ctx, server.URL())
	}
	if err == nil {
		d.second, err = pgx.Connect(ctx, server.URL())
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// batch makes events of which each belongs to another journey, as in a request of a sorter; every five batches tell of the same ones.
func (d *database) batch(kind string, size, tenants, payload int) []*tracking.Event {
	now := time.Now().UTC().Truncate(time.Microsecond)
	events := make([]*tracking.Event, size)
	round := d.rounds[kind]
	d.rounds[kind]++
	for i := range events {
		id := fmt.Sprintf("%s%d-%d", kind, round/floodSteps, i)
		more := ""
		if payload > 0 {
			more = fmt.Sprintf(`,"more":"%0*d"`, payload, 0)
		}
		events[i] = &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), TenantID: fmt.Sprintf("acme%d", (round/floodSteps*size+i)%tenants), Source: "LA", EventID: fmt.Sprintf("%s-%d", id, round%floodSteps),
			CorrelationID: id, AggregateID: id, Kind: tracking.Baggage, Type: floodTypes[round%floodSteps], Classifier: tracking.Actual,
			OccurredAt: now.Add(-time.Minute), ReceivedAt: now, Location: &tracking.Location{IATA: "LIM"},
			Payload:    json.RawMessage(`{"location":"LIM","flight":"LA2468","device":"scanner-17","belt":"B4","bag_tag":"0045123456","weight":21.5` + more + `}`),
			Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
		}
	}
	return events
}

// way is a way to store a batch.
type way struct {
	name, unit string
	store      func(context.Context, []*tracking.Event) error
}

// columns are the arguments of the plain statements.
func columns(events []*tracking.Event) (uids [][16]byte, correlations, ids []string, occurred, received []time.Time, payloads []string) {
	for _, e := range events {
		uids, correlations, ids = append(uids, e.UID), append(correlations, e.CorrelationID), append(ids, e.EventID)
		occurred, received, payloads = append(occurred, e.OccurredAt), append(received, e.ReceivedAt), append(payloads, string(e.Payload))
	}
	return uids, correlations, ids, occurred, received, payloads
}

func (d *database) ways() []way {
	return []way{
		{"Ceiling/postgres/copy", "events/s", d.copy},
		{"Ceiling/postgres/insert", "events/s", func(ctx context.Context, events []*tracking.Event) error { return insert(ctx, d.conn, events, false) }},
		{"Ceiling/postgres/insert-and-upsert", "events/s", func(ctx context.Context, events []*tracking.Event) error { return insert(ctx, d.conn, events, true) }},
		{"Ceiling/postgres/insert-and-upsert/by-two", "events/s", d.insertByTwo},
		{"Store/persist", "events/s", d.persist},
		{"Store/claim", "claims/s", d.claim},
	}
}

func (d *database) copy(ctx context.Context, events []*tracking.Event) error {
	names := []string{
		"uid", "tenant_id", "correlation_id", "aggregate_id", "source", "event_id", "revision", "kind", "event_type", "classifier", "milestone",
		"time_quality", "occurred_at", "utc_offset_minutes", "received_at", "payload",
	}
	_, err := d.conn.CopyFrom(ctx, pgx.Identifier{"event_store"}, names, pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
		e := events[i]
		return []any{
			[16]byte(e.UID), "acme", e.CorrelationID, e.AggregateID, e.Source, e.EventID, int64(0), "baggage", "loaded", "actual", "loaded", "",
			e.OccurredAt, int16(0), e.ReceivedAt, []byte(e.Payload),
		}, nil
	}))
	return err
}

// insertByTwo stores each half on a connection of its own, as persist does with as many events.
func (d *database) insertByTwo(ctx context.Context, events []*tracking.Event) error {
	half, other := len(events)/2, make(chan error, 1)
	go func() { other <- insert(ctx, d.second, events[half:], true) }()
	return errors.Join(insert(ctx, d.conn, events[:half], true), <-other)
}

func insert(ctx context.Context, conn *pgx.Conn, events []*tracking.Event, upsert bool) error {
	uids, correlations, ids, occurred, received, payloads := columns(events)
	var batch pgx.Batch
	batch.Queue("BEGIN")
	batch.Queue(rawInsert, uids, correlations, ids, occurred, received, payloads)
	if upsert {
		batch.Queue(rawUpsert, correlations, occurred, received)
	}
	batch.Queue("COMMIT")
	return conn.SendBatch(ctx, &batch).Close()
}

func (d *database) persist(ctx context.Context, events []*tracking.Event) error {
	results, err := d.store.Persist(ctx, events)
	if err == nil && !results[0].Inserted {
		err = errors.New("an event was not stored")
	}
	return err
}

func (d *database) claim(ctx context.Context, events []*tracking.Event) error {
	claims := make([]store.Claim, len(events))
	for i, e := range events {
		claims[i] = store.Claim{UID: e.UID, Key: sha256.Sum256(e.UID[:])}
	}
	_, err := d.store.Claim(ctx, 72*time.Hour, claims)
	return err
}

// runCeiling measures what the database and the broker take at most, and what the store makes of it. The ways to store take turns, so
// that a noisy machine is noisy for all of them.
func runCeiling(ctx context.Context, to *records) (err error) {
	progress("the ceiling: PostgreSQL")
	d, err := startDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	defer debug.SetGCPercent(debug.SetGCPercent(ceilingGarbage))
	ways := d.ways()
	times, cpu, postgres := make([][]float64, len(ways)), make([]time.Duration, len(ways)), make([]time.Duration, len(ways))
	for begin, round := time.Now(), 0; round < ceilingRounds && time.Since(begin) < ceilingTime*time.Duration(len(ways)); round++ {
		for i, w := range ways {
			events := d.batch(fmt.Sprint("way", i, "-"), ceilingBatch, 1, 0)
			_, below := cpuOf(os.Getpid())
			own, start := ownCPU(), time.Now()
			if err := w.store(ctx, events); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if round < warmRounds { // They prepare the statements.
				continue
			}
			times[i] = append(times[i], time.Since(start).Seconds())
			cpu[i] += ownCPU() - own
			_, belowAfter := cpuOf(os.Getpid())
			postgres[i] += belowAfter - below
		}
	}
	for i, w := range ways {
		took := median(times[i])
		events := float64(len(times[i]) * ceilingBatch)
		to.add(w.name, quantity{ceilingBatch / took, w.unit}, quantity{1e6 * took / ceilingBatch, "us/event"},
			quantity{1e6 * cpu[i].Seconds() / events, "rastro-cpu-us/event"}, quantity{1e6 * postgres[i].Seconds() / events, "postgres-cpu-us/event"})
	}
	return brokerCeiling(ctx, to)
}

// brokerCeiling measures what JetStream takes and gives of messages as large as frames of a hundred events.
func brokerCeiling(ctx context.Context, to *records) error {
	progress("the ceiling: NATS JetStream")
	data, err := dataFolder()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	server, err := broker.Start(ctx, data)
	if err != nil {
		return err
	}
	defer server.Stop()
	conn, err := nats.Connect("", server.Option())
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(64))
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "BENCH", Subjects: []string{"bench"}, Retention: jetstream.InterestPolicy}); err != nil {
		return fmt.Errorf("make stream: %w", err)
	}
	consumer, err := js.CreateConsumer(ctx, "BENCH", jetstream.ConsumerConfig{Durable: "bench", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 4096})
	if err != nil {
		return fmt.Errorf("make consumer: %w", err)
	}
	body, start := make([]byte, frameBytes), time.Now()
	for range frames {
		if _, err := js.PublishAsync("bench", body); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	published := time.Since(start).Seconds()
	start = time.Now()
	for left := frames; left > 0; {
		messages, err := consumer.Fetch(min(left, 256), jetstream.FetchMaxWait(5*time.Second))
		if err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		for m := range messages.Messages() {
			if err := m.Ack(); err != nil {
				return fmt.Errorf("acknowledge: %w", err)
			}
			left--
		}
		if err := errors.Join(messages.Error(), ctx.Err()); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
	}
	consumed := time.Since(start).Seconds()
	to.add("Ceiling/nats/publish", quantity{frames * frameEvents / published, "events/s"}, quantity{1e6 * published / frames, "us/message"})
	to.add("Ceiling/nats/consume", quantity{frames * frameEvents / consumed, "events/s"}, quantity{1e6 * consumed / frames, "us/message"})
	return nil
}

// runStored measures what persisting an event costs by how many are stored, how many tenants they are of, how large they are, and how
// many batches are under way at once.
func runStored(ctx context.Context, c options, to *records) (err error) {
	d, err := startDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	measure := func(name string, tenants, payload, at1 int) error {
		progress("growth: %s", name)
		var mu sync.Mutex
		var group sync.WaitGroup
		var failed error
		begin, stored := time.Now(), 0
		for range at1 {
			group.Go(func() {
				for time.Since(begin) < c.during && ctx.Err() == nil {
					mu.Lock()
					events := d.batch(fmt.Sprint(name, "-"), growthBatch, tenants, payload)
					mu.Unlock()
					err := d.persist(ctx, events)
					mu.Lock()
					stored, failed = stored+len(events), errors.Join(failed, err)
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		group.Wait()
		took := time.Since(begin).Seconds()
		to.add("Growth/persist/"+name, quantity{float64(stored) / took, "events/s"}, quantity{1e6 * took / float64(max(1, stored)), "us/event"})
		return failed
	}
	for _, step := range []struct {
		name                        string
		tenants, payload, at1, fill int
	}{
		{"stored=0", 1, 0, 1, 0}, {"writers=1", 1, 0, 1, 0}, {"writers=2", 1, 0, 2, 0}, {"writers=4", 1, 0, 4, 0},
		{"tenants=10", 10, 0, 1, 0}, {"tenants=100", 100, 0, 1, 0}, {"tenants=1000", 1000, 0, 1, 0}, {"tenants=10000", 10_000, 0, 1, 0},
		{"payload=200", 1, 200, 1, 0}, {"payload=4000", 1, 4000, 1, 0}, {"payload=64000", 1, 64_000, 1, 0},
		{fmt.Sprint("stored=", c.events/10), 1, 0, 1, c.events / 10}, {fmt.Sprint("stored=", c.events), 1, 0, 1, c.events},
	} {
		if err := d.fill(ctx, step.fill); err != nil {
			return err
		}
		if err := measure(step.name, step.tenants, step.payload, step.at1); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// fill stores until there are so many events.
func (d *database) fill(ctx context.Context, events int) error {
	if events == 0 {
		return nil
	}
	var stored int
	if err := d.conn.QueryRow(ctx, "SELECT count(*) FROM event_store").Scan(&stored); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	for n := 0; stored < events; n++ {
		if n%200 == 0 {
			progress("filling the store: %d of %d events", stored, events)
		}
		if err := d.copy(ctx, d.batch(fmt.Sprint("fill", events, "-"), growthBatch, 1, 0)); err != nil {
			return err
		}
		stored += growthBatch
	}
	_, err := d.conn.Exec(ctx, "ANALYZE")
	return err
}
