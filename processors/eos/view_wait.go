package eos

import (
	"slices"
	"sync"
	"sync/atomic"
)

// waiters are those who wait for a row of a view to change. Each is woken by a channel of its own that holds one signal, so that a change between
// looking and waiting is not lost.
type waiters struct {
	count atomic.Int64 // so that a change nobody waits for costs one load

	mu    sync.Mutex
	byKey map[string][]chan struct{}
}

// watch returns a channel that gets a signal whenever the row of key may have changed.
func (w *waiters) watch(key string) (changed <-chan struct{}, done func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byKey[key] = append(w.byKey[key], c)
	w.count.Add(1)
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.count.Add(-1)
		left := slices.DeleteFunc(w.byKey[key], func(o chan struct{}) bool { return o == c })
		if len(left) == 0 {
			delete(w.byKey, key)
		} else {
			w.byKey[key] = left
		}
	}
}

// wake signals those who wait for key.
func (w *waiters) wake(key string) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.byKey[key] {
		signal(c)
	}
}

// wakeAll signals everybody.
func (w *waiters) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cs := range w.byKey {
		for _, c := range cs {
			signal(c)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is waiting already
	}
}
