package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"utopia/cmd/internal/feed"
)

const (
	// heartbeat keeps proxies from taking a quiet stream for a dead one, and moves its position on.
	heartbeat = 15 * time.Second
	// writeWithin is how long the network may take for what a stream has to write; who is slower is cut off.
	writeWithin = 10 * time.Second
	// A client comes back after a time between these, so that those of an instance that stops do not all come at once.
	backAtLeast, backAtMost = 500 * time.Millisecond, 3 * time.Second

	defaultStreams          = 2000
	defaultStreamsPerCaller = 100
)

// StreamInput asks for the feed as a stream.
type StreamInput struct {
	FeedFilter
	LastEventID string `header:"Last-Event-ID" maxLength:"4000" doc:"The id of the last event that the caller has: everything after it follows"`
	Position    string `query:"lastEventId" maxLength:"4000" doc:"The same, for those who cannot set a header; the header counts more"`
	From        string `query:"from" enum:"newest,oldest" doc:"Without an id: what comes from now on, or all that is kept. newest if not given"`
	Accept      string `header:"Accept" maxLength:"400"`
}

// stream answers with events until the caller goes away, or what proves who it is ends: it comes back with another proof, and misses nothing.
func (g *Gateway) stream(ctx context.Context, in *StreamInput) (*huma.StreamResponse, error) {
	if accepted(in.Accept, "text/event-stream") == "" {
		return nil, problem(codeNotAcceptable)
	}
	caller := callerOf(ctx)
	leave, p := g.streams.enter(caller.Name)
	if p != nil {
		return nil, p
	}
	position := in.LastEventID
	if position == "" {
		position = in.Position
	}
	r, err := g.feed.Follow(ctx, position, in.From == "oldest", in.filter(caller))
	if err == nil && g.ending.Err() != nil {
		err = feed.ErrAway
	}
	if err != nil {
		leave()
		return nil, unfed(err)
	}
	return g.events(caller, leave, func(ctx context.Context, w http.ResponseWriter) { g.pump(ctx, w, r) }), nil //nolint:contextcheck // the request's own
}

// events is an answer that pump writes until the caller goes away, or may not hear more.
func (g *Gateway) events(caller Caller, leave func(), pump func(context.Context, http.ResponseWriter)) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(out huma.Context) {
		defer leave()
		req, w := humago.Unwrap(out)
		head(w)
		if req.Method == http.MethodHead {
			return
		}
		ctx, cancel := req.Context(), func() {}
		if !caller.Until.IsZero() {
			ctx, cancel = context.WithTimeout(ctx, caller.Until.Sub(g.now()))
		}
		defer cancel()
		pump(ctx, w)
	}}
}

// head begins a stream.
func head(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
}

// pump writes what a reader gets. The server's own limits are for requests, which end; here each write has its own.
func (g *Gateway) pump(ctx context.Context, w http.ResponseWriter, r *feed.Reader) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.ending, cancel)() //nolint:contextcheck // the gateway's end is the stream's, too
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // a test's recorder has none
	if !send(w, out, fmt.Appendf(nil, "retry: %d\nid: %s\n\n", back(), r.Position())) {
		return
	}
	for {
		beat, stop := context.WithTimeout(ctx, heartbeat)
		for beat.Err() == nil {
			batch, err := r.Next(beat)
			if err != nil || !send(w, out, batch...) {
				stop()
				return // it comes back with its position, and is told then what is wrong
			}
		}
		stop()
		if ctx.Err() != nil {
			break
		}
		if !send(w, out, fmt.Appendf(nil, ":\nid: %s\n\n", r.Position())) {
			return
		}
	}
	send(w, out, []byte(": come back\n\n"))
}

// back is after how many milliseconds a client comes back.
func back() int64 { return (backAtLeast + rand.N(backAtMost-backAtLeast)).Milliseconds() }

// send writes and says whether the caller is still there.
func send(w http.ResponseWriter, out *http.ResponseController, batch ...[]byte) bool {
	if len(batch) == 0 {
		return true
	}
	_ = out.SetWriteDeadline(time.Now().Add(writeWithin)) // a test's recorder has none
	for _, b := range batch {
		if _, err := w.Write(b); err != nil {
			return false
		}
	}
	return out.Flush() == nil
}

// streams counts who is connected.
type streams struct {
	most, mostEach int

	mu  sync.Mutex
	all int
	by  map[string]int
}

func newStreams(most, mostEach int) *streams {
	if most == 0 {
		most = defaultStreams
	}
	if mostEach == 0 {
		mostEach = defaultStreamsPerCaller
	}
	return &streams{most: most, mostEach: mostEach, by: map[string]int{}}
}

// enter counts one more stream of a caller until it leaves.
func (s *streams) enter(caller string) (leave func(), p *Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.by[caller] >= s.mostEach:
		return nil, problem(codeStreams).because("at most "+strconv.Itoa(s.mostEach)).with("Retry-After", "5")
	case s.all >= s.most:
		return nil, problem(codeStreamsFull).with("Retry-After", "5")
	}
	s.all++
	s.by[caller]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.by[caller]--; s.by[caller] == 0 {
			delete(s.by, caller)
		}
	}, nil
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// Streams is how many callers are connected to the feed, or to the picture of how records flow.
func (g *Gateway) Streams() int { return g.streams.count() }

// Untold is how many records the feed left out, because this release does not know their type or cannot read them.
func (g *Gateway) Untold() int64 { return g.feed.Skipped() }
