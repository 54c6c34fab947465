package history

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"utopia/topics"
)

const (
	// askWithin is how long one instance has to answer.
	askWithin = time.Second
	// maxAnswer is the longest answer that is read, in bytes.
	maxAnswer = 1 << 20
)

// Path is where a handler answers.
const Path = "/v1/history/"

// Handler serves the index to whoever has the key; without a key, nobody.
func (x *Index) Handler(key string) http.Handler {
	want := sha256.Sum256([]byte(key))
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path+"{id}", func(w http.ResponseWriter, r *http.Request) {
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(bearer))
		if key == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="utopia"`)
			http.Error(w, "the key is wrong", http.StatusUnauthorized)
			return
		}
		limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil || !topics.ValidID(r.PathValue("id")) {
			http.Error(w, "want an id and a limit", http.StatusBadRequest)
			return
		}
		p, err := x.Entries(r.Context(), r.PathValue("id"), r.URL.Query().Get("before"), limit)
		switch {
		case errors.Is(err, ErrCursor):
			http.Error(w, ErrCursor.Error(), http.StatusBadRequest)
		case errors.Is(err, ErrNotReady):
			w.Header().Set("Retry-After", "1")
			http.Error(w, ErrNotReady.Error(), http.StatusServiceUnavailable)
		case err != nil:
			http.Error(w, "the history cannot be read", http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			_ = json.NewEncoder(w).Encode(p) // the caller is gone, or has it
		}
	})
	return mux
}

// Serve answers on l, which it closes, until ctx ends; with TLS if that is given.
func (x *Index) Serve(ctx context.Context, l net.Listener, protection *tls.Config, key string) error {
	if protection != nil {
		l = tls.NewListener(l, protection)
	}
	s := &http.Server{
		Handler: x.Handler(key), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(x.cfg.Logger.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })() // an answer takes no time: who is cut off asks another
	if err := s.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("query side: %w", err)
	}
	return nil
}

// Client asks query sides elsewhere: each instance of the customer service has a complete one.
type Client struct {
	urls []string
	key  string
	http *http.Client
	good atomic.Uint32 // who answered last
}

// NewClient returns a client of the instances at these addresses, which all take the key.
func NewClient(urls []string, key string) *Client {
	return &Client{urls: urls, key: key, http: &http.Client{
		Timeout:       askWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the key is for these addresses
	}}
}

// Entries asks one instance after the other, beginning with the one that answered last. Errors: ErrCursor, and whatever keeps all of them from answering.
func (c *Client) Entries(ctx context.Context, id, before string, limit int) (Page, error) {
	var errs []error
	for i := range c.urls {
		n := (int(c.good.Load()) + i) % len(c.urls)
		p, err := c.ask(ctx, c.urls[n], id, before, limit)
		if err == nil || errors.Is(err, ErrCursor) {
			c.good.Store(uint32(n)) //nolint:gosec // a few
			return p, err
		}
		errs = append(errs, err)
	}
	return Page{}, errors.Join(errs...)
}

func (c *Client) ask(ctx context.Context, base, id, before string, limit int) (p Page, err error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if before != "" {
		query.Set("before", before)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+Path+url.PathEscape(id)+"?"+query.Encode(), nil)
	if err != nil {
		return p, fmt.Errorf("query side: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := c.http.Do(r)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) { // without the customer
			err = where.Err
		}
		return p, fmt.Errorf("query side %s: %w", base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusBadRequest:
		return p, ErrCursor
	default:
		return p, fmt.Errorf("query side %s: %s", base, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&p); err != nil {
		return p, fmt.Errorf("query side %s: %w", base, err)
	}
	return p, nil
}
