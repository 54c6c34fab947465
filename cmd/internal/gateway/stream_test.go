package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// endless is a gibibyte of a JSON string, and counts what was taken of it.
type endless struct{ taken atomic.Int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.taken.Load() >= 1<<30 {
		return 0, io.EOF
	}
	for i := range b {
		b[i] = 'x'
	}
	if e.taken.Load() == 0 {
		b[0] = '"'
	}
	e.taken.Add(int64(len(b)))
	return len(b), nil
}

// A gibibyte that is sent without saying so before is refused when it is too large, and is never in memory.
func TestAnEndlessBody(t *testing.T) {
	g := Bare(t, open)
	s := httptest.NewServer(g.Handler())
	defer s.Close()
	before := heap()
	for _, one := range []struct{ method, path string }{
		{http.MethodPut, "/v1/customers/c-1"}, {http.MethodPost, "/v1/confirmations"}, {http.MethodPost, "/v1/customers/search"},
	} {
		var body endless
		r, err := http.NewRequestWithContext(t.Context(), one.method, s.URL+one.path, &body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := s.Client().Do(r)
		if err == nil { // it may be cut off before the answer is read
			if resp.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %d", one.path, resp.StatusCode)
			}
			_ = resp.Body.Close()
		}
		if n := body.taken.Load(); n > 16<<20 {
			t.Errorf("%s: %d bytes were taken", one.path, n)
		}
	}
	if after := heap(); after > before+4<<20 {
		t.Errorf("%d bytes stay", after-before)
	}
}
