package gateway

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// mostCallers is how many callers are counted at a time; beyond that, those that have been quiet long enough are forgotten.
const mostCallers = 10_000

// limits is how often each of many callers may call.
type limits struct {
	every rate.Limit // 0: no limit
	burst int

	mu sync.Mutex
	by map[string]*rate.Limiter
}

func newLimits(perSecond, burst float64) *limits {
	return &limits{every: rate.Limit(perSecond), burst: max(1, int(burst)), by: map[string]*rate.Limiter{}}
}

// allow counts one call; if there were too many, it says after how long the next is allowed.
func (l *limits) allow(name string, now time.Time) (again time.Duration, ok bool) {
	if l.every == 0 {
		return 0, true
	}
	r := l.of(name, now).ReserveN(now, 1)
	if again = r.DelayFrom(now); again > 0 {
		r.CancelAt(now)
		return again, false
	}
	return 0, true
}

// peek asks without counting.
func (l *limits) peek(name string, now time.Time) (again time.Duration, ok bool) {
	if l.every == 0 {
		return 0, true
	}
	lacking := 1 - l.of(name, now).TokensAt(now)
	if lacking <= 0 {
		return 0, true
	}
	return time.Duration(lacking / float64(l.every) * float64(time.Second)), false
}

func (l *limits) of(name string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.by[name]
	if one == nil {
		if len(l.by) >= mostCallers {
			l.forget(now)
		}
		one = rate.NewLimiter(l.every, l.burst)
		l.by[name] = one
	}
	return one
}

// forget drops those whose limit is as good as new, and some others if all are busy: memory is bounded first.
func (l *limits) forget(now time.Time) {
	for name, one := range l.by {
		if one.TokensAt(now) >= float64(l.burst) {
			delete(l.by, name)
		}
	}
	for name := range l.by {
		if len(l.by) < mostCallers*9/10 {
			return
		}
		delete(l.by, name)
	}
}
