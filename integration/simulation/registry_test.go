//go:build synctests

package simulation

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"utopia/schemas"
)

// registry is a schema registry without a network: it has every embedded schema that is not private, and answers the three questions that are
// asked. It can be away.
type registry struct {
	byID    map[int]schemas.Revision
	byQuery map[string]int // subject and schema

	mu    sync.Mutex
	mood  int // what is wrong: one of the moods
	asked int // while something was wrong
}

const (
	moodAway = iota
	moodFails
	moodSlow
	moodFine
)

func newRegistry() *registry {
	r := &registry{byID: map[int]schemas.Revision{}, byQuery: map[string]int{}, mood: moodFine}
	for i, rev := range schemas.Revisions("") {
		if !rev.Private() {
			r.byID[i+1], r.byQuery[rev.Subject()+"\x00"+rev.Schema] = rev, i+1
		}
	}
	return r
}

// be sets what is wrong, and returns how often it was met since the last call.
func (r *registry) be(mood int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.asked
	r.mood, r.asked = mood, 0
	return n
}

// ids is what a process that starts now knows of the registry.
func (r *registry) ids() (*schemas.Registry, error) {
	return schemas.NewRegistry(schemas.RegistryConfig{
		URLs: []string{"http://registry"}, Options: []sr.ClientOpt{sr.HTTPClient(&http.Client{Transport: r})},
		Patience: 250 * time.Millisecond, // as cmd/internal/service has it
	})
}

// RoundTrip implements http.RoundTripper.
func (r *registry) RoundTrip(q *http.Request) (*http.Response, error) {
	r.mu.Lock()
	mood := r.mood
	if mood != moodFine {
		r.asked++
	}
	r.mu.Unlock()
	switch mood {
	case moodAway:
		return nil, errors.New("connection refused")
	case moodFails:
		return respond(q, http.StatusInternalServerError, map[string]any{"error_code": 50001, "message": "the registry is not well"})
	case moodSlow:
		select {
		case <-q.Context().Done():
			return nil, q.Context().Err()
		case <-time.After(10 * time.Second):
		}
	}
	return r.answer(q)
}

// answer knows POST /subjects/{subject}, GET /schemas/ids/{id} and GET /schemas/ids/{id}/subjects.
func (r *registry) answer(q *http.Request) (*http.Response, error) {
	words := strings.Split(strings.Trim(q.URL.Path, "/"), "/")
	if q.Method == http.MethodPost && len(words) == 2 {
		var body struct {
			Schema string `json:"schema"`
		}
		if err := json.NewDecoder(q.Body).Decode(&body); err != nil {
			return nil, err
		}
		if id, ok := r.byQuery[words[1]+"\x00"+body.Schema]; ok {
			return respond(q, http.StatusOK, map[string]any{"subject": words[1], "version": 1, "id": id, "schema": body.Schema})
		}
	}
	if q.Method == http.MethodGet && len(words) >= 3 {
		id, err := strconv.Atoi(words[2])
		if rev, ok := r.byID[id]; ok && err == nil {
			if len(words) == 4 {
				return respond(q, http.StatusOK, []string{rev.Subject()})
			}
			return respond(q, http.StatusOK, map[string]any{"schema": rev.Schema})
		}
	}
	return respond(q, http.StatusNotFound, map[string]any{"error_code": 40403, "message": "Schema not found"})
}

func respond(q *http.Request, status int, body any) (*http.Response, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: q,
		Header: http.Header{"Content-Type": {"application/vnd.schemaregistry.v1+json"}},
		Body:   io.NopCloser(strings.NewReader(string(b))), ContentLength: int64(len(b)),
	}, nil
}
