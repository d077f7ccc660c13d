package labs

import (
	"slices"
	"sync"
	"time"
)

// settling is how long a fact is held back, so that an earlier one from elsewhere can still come before it.
const settling = 30 * time.Millisecond

// inOrder puts what several sources tell into the order of time, as it comes: each source is in order by itself, but
// they do not arrive in turn. One that comes later than settling is not left out, only out of order.
type inOrder[T any] struct {
	at   func(T) time.Time
	emit func(T) // called from one goroutine at a time

	mu    sync.Mutex
	held  []T
	stop  chan struct{}
	ended chan struct{}
}

func newInOrder[T any](at func(T) time.Time, emit func(T)) *inOrder[T] {
	o := &inOrder[T]{at: at, emit: emit, stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(o.ended)
		tick := time.NewTicker(settling / 3)
		defer tick.Stop()
		for {
			select {
			case <-o.stop:
				return
			case now := <-tick.C:
				o.release(now.Add(-settling))
			}
		}
	}()
	return o
}

func (o *inOrder[T]) add(one T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = append(o.held, one)
}

// release emits what is not later than a time.
func (o *inOrder[T]) release(until time.Time) {
	o.mu.Lock()
	slices.SortStableFunc(o.held, func(a, b T) int { return o.at(a).Compare(o.at(b)) })
	n := 0
	for n < len(o.held) && !o.at(o.held[n]).After(until) {
		n++
	}
	ready := slices.Clone(o.held[:n])
	o.held = slices.Delete(o.held, 0, n)
	o.mu.Unlock()
	for _, one := range ready {
		o.emit(one)
	}
}

// close emits what is held; nothing may be added any more.
func (o *inOrder[T]) close() {
	close(o.stop)
	<-o.ended
	slices.SortStableFunc(o.held, func(a, b T) int { return o.at(a).Compare(o.at(b)) })
	for _, one := range o.held {
		o.emit(one)
	}
	o.held = nil
}
