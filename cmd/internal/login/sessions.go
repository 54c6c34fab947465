// Package login knows who looks at a page: it keeps sessions in sealed cookies, so that any gateway with the same keys knows
// everybody's, and makes them of what an OpenID Connect issuer says, or, in development, of a choice.
//
// It keeps nothing: a session cannot be taken away before it ends, which it does after an hour without use and after eight
// hours in any case. What somebody may do, package access decides.
package login

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"utopia/cmd/internal/access"
)

const (
	// Lifetime is how long a session lasts at most; a role that was taken away is gone then.
	Lifetime = 8 * time.Hour
	// Idle is after how long without a request a session ends.
	Idle = time.Hour
	// renew is how often a session that is used is written anew.
	renew = time.Minute
	// flowLifetime is how long somebody may take to log in at the issuer.
	flowLifetime = 10 * time.Minute

	sessionCookie = "utopia-session"
	flowCookie    = "utopia-login"
)

// Sessions reads and writes the cookies.
type Sessions struct {
	keys   Keys
	secure bool
	now    func() time.Time
}

// NewSessions makes sessions under keys. secure is false only where pages are served on loopback without TLS; now nil is the clock.
func NewSessions(keys Keys, secure bool, now func() time.Time) (*Sessions, error) {
	if len(keys.list) == 0 {
		return nil, errors.New("login: no key to seal sessions with")
	}
	if now == nil {
		now = time.Now
	}
	return &Sessions{keys, secure, now}, nil
}

// session is what a cookie has sealed in it. Times are seconds since 1970.
type session struct {
	Name     string      `json:"n"`
	Role     access.Role `json:"r"`
	Customer string      `json:"c,omitempty"`
	Ends     int64       `json:"e"`
	Seen     int64       `json:"s"`
}

// Who says whose session a request has, and keeps it alive; ok is false without one that is good.
func (s *Sessions) Who(w http.ResponseWriter, r *http.Request) (c access.Caller, ok bool) {
	var one session
	if !s.read(r, sessionCookie, &one) {
		return c, false
	}
	now := s.now()
	seen := time.Unix(one.Seen, 0)
	if !now.Before(time.Unix(one.Ends, 0)) || now.Sub(seen) > Idle {
		return c, false
	}
	c = access.Caller{Name: one.Name, Role: one.Role, Customer: one.Customer}
	if !c.Valid() {
		return access.Caller{}, false
	}
	if now.Sub(seen) >= renew {
		one.Seen = now.Unix()
		s.write(w, sessionCookie, one, time.Unix(one.Ends, 0).Sub(now))
	}
	return c, true
}

// Begin gives the browser a session.
func (s *Sessions) Begin(w http.ResponseWriter, c access.Caller) {
	now := s.now()
	s.write(w, sessionCookie, session{c.Name, c.Role, c.Customer, now.Add(Lifetime).Unix(), now.Unix()}, Lifetime)
}

// End takes it away.
func (s *Sessions) End(w http.ResponseWriter) { s.clear(w, sessionCookie) }

// name is the cookie's name: with the prefix, browsers take it from this host alone, over TLS, and for every path.
func (s *Sessions) name(base string) string {
	if s.secure {
		return "__Host-" + base
	}
	return base
}

func (s *Sessions) write(w http.ResponseWriter, base string, v any, lasts time.Duration) {
	plain, _ := json.Marshal(v) // plain values
	s.set(w, base, s.keys.seal(base, plain), int(lasts/time.Second))
}

func (s *Sessions) clear(w http.ResponseWriter, base string) { s.set(w, base, "", -1) }

func (s *Sessions) set(w http.ResponseWriter, base, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.name(base), Value: value, Path: "/", MaxAge: maxAge, Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (s *Sessions) read(r *http.Request, base string, into any) bool {
	cookie, err := r.Cookie(s.name(base))
	if err != nil {
		return false
	}
	plain, err := s.keys.open(base, cookie.Value)
	return err == nil && json.Unmarshal(plain, into) == nil
}

// Back is where to go after logging in: a path of these pages, or the first one if it could lead anywhere else.
func Back(path string) string {
	const first = "/"
	if !strings.HasPrefix(path, "/") || len(path) > 1024 || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == '\\' || c == 0x7f }) {
		return first
	}
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || strings.HasPrefix(path, "//") || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.Path, "/log") {
		return first
	}
	return path
}
