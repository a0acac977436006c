package live

import (
	"fmt"
	"sync"
	"time"
)

// answers are kept for a moment, so that many who watch cost no more than one.
type answers struct {
	mu   sync.Mutex
	kept map[string]*answer
}

type answer struct {
	mu    sync.Mutex
	at    time.Time
	value any
}

// maxAnswers bounds what is kept.
const maxAnswers = 1000

// remember returns what f returned last for a key, while that is fresh. One caller at a time asks for it.
func remember[T any](a *answers, key string, fresh time.Duration, now func() time.Time, f func() (T, error)) (T, error) {
	a.mu.Lock()
	if a.kept == nil || len(a.kept) > maxAnswers {
		a.kept = map[string]*answer{}
	}
	kept, ok := a.kept[key]
	if !ok {
		kept = &answer{}
		a.kept[key] = kept
	}
	a.mu.Unlock()
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if value, known := kept.value.(T); known && now().Sub(kept.at).Abs() < fresh {
		return value, nil
	}
	value, err := f()
	if err != nil {
		return value, fmt.Errorf("read anew: %w", err)
	}
	kept.value, kept.at = value, now()
	return value, nil
}

// forget has the answer for a key asked for anew.
func (a *answers) forget(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.kept, key)
}
