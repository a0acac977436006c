package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// replicaState is how a read replica does.
type replicaState int

const (
	replicaUnknown replicaState = iota
	replicaDown
	replicaBehind
	replicaReady
)

// replica is a read replica, and what is known of it.
type replica struct {
	pool    *pgxpool.Pool
	primary *Store
	logger  *slog.Logger
	maxLag  time.Duration
	end     context.CancelFunc
	ended   chan struct{}

	mu    sync.Mutex
	state replicaState
	// answers ends when the replica stops answering; down ends it.
	answers context.Context //nolint:containedctx // it is what reads are bounded by, as by the replica's own life
	down    context.CancelFunc
}

// queryCanceled is the SQLSTATE of a statement that took too long.
const queryCanceled = "57014"

const (
	// replicaCheck is how often a replica is looked after.
	replicaCheck = time.Second
	// replicaPatience is how long a replica may take to answer that.
	replicaPatience = 2 * time.Second
	// replicaRenewal is how old the connection for that may become: the replica's name may be given to another server.
	replicaRenewal = time.Minute
)

// OpenReads returns a store whose reads as a tenant go to the replica at ReadURL, and all else to s, as everything does without a
// ReadURL. While the replica does not answer or is more than ReadMaxLag behind, all goes to s; a read that fails at the replica is tried
// at s. A replica that is behind is read when s does not answer either. Opening does not need the replica. The caller must Close the
// store, before s.
func (s *Store) OpenReads(ctx context.Context, logger *slog.Logger, opts ...Option) (*Store, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	reads := &Store{pool: s.pool, config: s.config, now: s.now, changes: s.changes, borrowed: true}
	if s.config.ReadURL == "" {
		return reads, nil
	}
	o.readOnly = true
	pool, err := newPool(ctx, s.config, s.config.ReadURL, o)
	if err != nil {
		return nil, fmt.Errorf("read replica: %w", err)
	}
	watching, end := context.WithCancel(context.WithoutCancel(ctx))
	r := &replica{pool: pool, primary: s, logger: logger, maxLag: s.config.ReadMaxLag, end: end, ended: make(chan struct{})}
	reads.replica = r
	w := &replicaWatch{replica: r, now: time.Now}
	w.check(watching)
	go func() {
		defer close(r.ended)
		w.run(watching)
	}()
	return reads, nil
}

func (r *replica) close() {
	r.end()
	<-r.ended
	r.pool.Close()
}

// usable returns a context that ends when the replica stops answering; false when it is not to be read.
func (r *replica) usable() (context.Context, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answers, r.state == replicaReady
}

// set notes how the replica does, and says so when that has changed.
func (r *replica) set(ctx context.Context, state replicaState, lag time.Duration, failure error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state == r.state {
		return
	}
	r.state = state
	if r.down != nil && state == replicaDown {
		r.down()
		r.down = nil
	}
	if r.down == nil && state != replicaDown {
		r.answers, r.down = context.WithCancel(ctx)
	}
	switch state {
	case replicaReady:
		r.logger.InfoContext(ctx, "reads go to the read replica")
	case replicaBehind:
		r.logger.WarnContext(ctx, "reads go to the primary: the read replica is behind", slog.String("lag", lag.Round(time.Millisecond).String()))
	default:
		r.logger.WarnContext(ctx, "reads go to the primary: the read replica does not answer", slog.Any("error", failure))
	}
}

// replicaWatch looks after a replica. How far it is behind is told by transactions, which works on any replica and however idle the
// primary is: what had ended at the primary at a time is there when as many transactions have ended at the replica.
type replicaWatch struct {
	*replica

	now  func() time.Time
	conn *pgx.Conn
	made time.Time
	// missing are the ends of the primary's transactions that the replica has not reached yet, the oldest first.
	missing []transactionEnd
}

// transactionEnd is which transaction is the first that had not ended at a time.
type transactionEnd struct {
	xid uint64
	at  time.Time
}

// maxMissing bounds what is remembered of a replica that is far behind. The oldest says how far.
const maxMissing = 3600

func (w *replicaWatch) run(ctx context.Context) {
	ticker := time.NewTicker(replicaCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.check(ctx)
		case <-ctx.Done():
			w.hangUp(ctx)
			return
		}
	}
}

// check finds out how the replica does.
func (w *replicaWatch) check(ctx context.Context) {
	primary := w.sample(ctx)
	reached, err := w.reached(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		w.hangUp(ctx)
		w.set(ctx, replicaDown, 0, err)
		return
	}
	for len(w.missing) > 0 && w.missing[0].xid <= reached {
		w.missing = w.missing[1:]
	}
	var lag time.Duration
	if len(w.missing) > 0 {
		lag = w.now().Sub(w.missing[0].at)
	}
	if lag > w.maxLag && primary {
		w.set(ctx, replicaBehind, lag, nil)
	} else {
		w.set(ctx, replicaReady, lag, nil)
	}
}

const lastEnded = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"

// sample notes how far the primary is; false when it does not say.
func (w *replicaWatch) sample(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, replicaPatience)
	defer cancel()
	at := w.now() // before it is asked: what is read then had ended by now or later
	var xid uint64
	if err := w.primary.pool.QueryRow(ctx, lastEnded).Scan(&xid); err != nil {
		return false
	}
	if n := len(w.missing); n < maxMissing && (n == 0 || w.missing[n-1].xid < xid) {
		w.missing = append(w.missing, transactionEnd{xid, at})
	}
	return true
}

// reached returns how far the replica is. It is asked over a connection of its own: the pool's may all be in use.
func (w *replicaWatch) reached(ctx context.Context) (xid uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, replicaPatience)
	defer cancel()
	if w.conn != nil && w.now().Sub(w.made) > replicaRenewal {
		w.hangUp(ctx)
	}
	if w.conn == nil {
		if w.conn, err = connectAlone(ctx, w.pool); err != nil {
			return 0, fmt.Errorf("connect to read replica: %w", err)
		}
		w.made = w.now()
	}
	if err := w.conn.QueryRow(ctx, lastEnded).Scan(&xid); err != nil {
		return 0, fmt.Errorf("ask read replica how far it is: %w", err)
	}
	return xid, nil
}

func (w *replicaWatch) hangUp(ctx context.Context) {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = w.conn.Close(ctx) // it is of no use any more, whatever it says
	w.conn = nil
}

// readReplica runs a read at the replica; false when it is to be done at the primary.
func readReplica[T any](ctx context.Context, r *replica, read func(context.Context, *pgxpool.Pool) ([]T, error)) ([]T, error, bool) {
	answers, ok := r.usable()
	if !ok {
		return nil, nil, false
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(answers, cancel)() //nolint:contextcheck // it is the replica's life, beside the caller's
	found, err := read(reading, r.pool)
	// What took too long would do so at the primary. Anything else may be the replica's: that it went away, that it had to end a read to
	// follow the primary, that it does not know a table yet.
	if err != nil && ctx.Err() == nil && sqlState(err) != queryCanceled {
		return nil, nil, false
	}
	return found, err, true
}
