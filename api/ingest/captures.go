package ingest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/store"
)

// CaptureStore keeps what became of captured documents.
type CaptureStore interface {
	SaveCaptures(ctx context.Context, captures []store.Capture) error
	// Capture returns what became of one, or an error that wraps store.ErrNotFound.
	Capture(ctx context.Context, tenant, carrier string, id uuid.UUID) (store.Capture, error)
	// Captures returns the latest, limit at most, behind one when that is not nil.
	Captures(ctx context.Context, tenant, carrier string, behind *store.Capture, limit int) ([]store.Capture, error)
}

const (
	// capturePatience is how long an answer waits for the database to have what it says, so that whichever process is asked next
	// knows it. The events are the broker's by then: a database that is away costs no more than this, and that once.
	capturePatience = 250 * time.Millisecond
	// captureTimeout bounds one writing, and capturePause is how long after one that failed the next is.
	captureTimeout = 5 * time.Second
	capturePause   = time.Second
	// maxUnsaved bounds, in bytes, what a process remembers while the database is away. What is beyond is forgotten, the oldest first.
	maxUnsaved = 16 << 20
	// captureBatch is how many are written at once.
	captureBatch = 200
)

// captureJobs knows the capture jobs of EPCIS. A job is done when its request is answered: the document was read, checked and handed
// to the broker, or refused. What is kept is the report of that, and it is kept after the events were: an event that was
// acknowledged never hangs on whether the database, too, could be told. While the database is away this process remembers the
// reports and answers from them, and writes them when it is back. A process that dies before that takes the reports of
// the outage along, and no event: the job is then unknown, and a sender who cannot tell what became of a document sends it again,
// which does no harm, because its events have the same ids.
type captureJobs struct {
	store  CaptureStore
	logger *slog.Logger

	mu      sync.Mutex
	unsaved []*unsavedCapture // the oldest first
	bytes   int
	away    bool // the last writing failed

	wake chan struct{}
	stop context.CancelFunc
	done chan struct{}
}

type unsavedCapture struct {
	store.Capture

	saved chan struct{} // closed when the database has it
}

func (u *unsavedCapture) bytes() int { return len(u.Errors) + 512 }

func newCaptureJobs(captures CaptureStore, logger *slog.Logger) *captureJobs {
	return &captureJobs{store: captures, logger: logger, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// start writes jobs until close.
func (j *captureJobs) start() {
	ctx, cancel := context.WithCancel(context.Background())
	j.stop = cancel
	go func() {
		defer close(j.done)
		j.run(ctx)
	}()
}

// close writes what there is to be written, if that can be done before ctx ends, and stops.
func (j *captureJobs) close(ctx context.Context) {
	j.stop()
	<-j.done
	for ctx.Err() == nil && j.save(ctx) {
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.unsaved) > 0 {
		j.logger.WarnContext(ctx, "capture jobs are not known any more, because the database is away; their events are not concerned", slog.Int("jobs", len(j.unsaved)))
	}
}

func (j *captureJobs) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
		}
		for ctx.Err() == nil && j.save(ctx) {
		}
		if !j.isAway() {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(capturePause):
			j.call()
		}
	}
}

// call has the jobs written.
func (j *captureJobs) call() {
	select {
	case j.wake <- struct{}{}:
	default: // it is called already
	}
}

func (j *captureJobs) isAway() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.away
}

// save writes some jobs, and reports whether there is more to write and a use in trying.
func (j *captureJobs) save(ctx context.Context) bool {
	j.mu.Lock()
	batch := slices.Clone(j.unsaved[:min(len(j.unsaved), captureBatch)])
	j.mu.Unlock()
	if len(batch) == 0 {
		return false
	}
	captures := make([]store.Capture, len(batch))
	for i, u := range batch {
		captures[i] = u.Capture
	}
	ctx, cancel := context.WithTimeout(ctx, captureTimeout)
	defer cancel()
	err := j.store.SaveCaptures(ctx, captures)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		if !j.away { // say it once an outage
			j.logger.WarnContext(ctx, "cannot write down what became of captured documents; remembering it", slog.Any("error", err))
		}
		j.away = true
		return false
	}
	j.away = false
	for _, u := range batch {
		j.forget(u)
		close(u.saved)
	}
	return len(j.unsaved) > 0
}

// forget takes a job out of what is unsaved, if it is still there. The caller holds the mutex.
func (j *captureJobs) forget(u *unsavedCapture) {
	if i := slices.Index(j.unsaved, u); i >= 0 {
		j.unsaved = slices.Delete(j.unsaved, i, i+1)
		j.bytes -= u.bytes()
	}
}

// note keeps a job, and waits for a moment for the database to have it.
func (j *captureJobs) note(ctx context.Context, c store.Capture) {
	u := &unsavedCapture{Capture: c, saved: make(chan struct{})}
	j.mu.Lock()
	if before := j.find(c.TenantID, c.Carrier, c.ID); before != nil { // sent again: the database takes each but once at a time
		j.forget(before)
	}
	j.unsaved = append(j.unsaved, u)
	for j.bytes += u.bytes(); j.bytes > maxUnsaved && len(j.unsaved) > 1; {
		j.forget(j.unsaved[0])
	}
	away := j.away
	j.mu.Unlock()
	j.call()
	if away {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, capturePatience)
	defer cancel()
	select {
	case <-u.saved:
	case <-ctx.Done():
	}
}

// find returns a job that is unsaved, nil when there is none. The caller holds the mutex.
func (j *captureJobs) find(tenant, carrier string, id uuid.UUID) *unsavedCapture {
	i := slices.IndexFunc(j.unsaved, func(u *unsavedCapture) bool { return u.ID == id && u.TenantID == tenant && u.Carrier == carrier })
	if i < 0 {
		return nil
	}
	return j.unsaved[i]
}

// get returns a job, or an error that wraps store.ErrNotFound.
func (j *captureJobs) get(ctx context.Context, tenant, carrier string, id uuid.UUID) (store.Capture, error) {
	j.mu.Lock()
	known := j.find(tenant, carrier, id)
	j.mu.Unlock()
	if known != nil {
		return known.Capture, nil
	}
	return j.store.Capture(ctx, tenant, carrier, id)
}

// list returns the latest jobs of a carrier that the database has.
func (j *captureJobs) list(ctx context.Context, tenant, carrier string, behind *store.Capture, limit int) ([]store.Capture, error) {
	found, err := j.store.Captures(ctx, tenant, carrier, behind, limit)
	if err != nil && !errors.Is(err, context.Canceled) {
		j.logger.WarnContext(ctx, "cannot list capture jobs", slog.String("tenant", tenant), slog.Any("error", err))
	}
	return found, err
}
