package smtpd

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Handler shows the mails as JSON to people and scripts on this machine:
//
//	GET /mails?to=ADDRESS&after=ID   the mails kept, oldest first, without their bodies
//	GET /mails/ID                    one, with text and HTML
//	GET /mails/ID/raw                one as it was received
//	DELETE /mails                    forgets all
//
// It is LocalOnly.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /mails", s.list)
	mux.HandleFunc("GET /mails/{id}", s.one)
	mux.HandleFunc("GET /mails/{id}/raw", s.raw)
	mux.HandleFunc("DELETE /mails", s.forget)
	guard := http.NewCrossOriginProtection() // DELETE from another site's page
	return guard.Handler(LocalOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})))
}

// LocalOnly answers 403 to a request whose Host is a name other than localhost: a page in a browser can have any name point
// at this machine and read what it answers, and the mails hold live links.
func LocalOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localHost(r.Host) {
			answerError(w, http.StatusForbidden, "the development mails are for this machine only")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func localHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	after, to := 0, r.URL.Query().Get("to")
	if v := r.URL.Query().Get("after"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			answerError(w, http.StatusBadRequest, "after is the id of a mail, a number")
			return
		}
		after = n
	}
	found := []Mail{}
	for _, m := range s.Mails() {
		if m.ID <= after || (to != "" && !slices.Contains(m.To, to)) {
			continue
		}
		m.Text, m.HTML = "", ""
		found = append(found, m)
	}
	answer(w, http.StatusOK, found)
}

func (s *Server) find(w http.ResponseWriter, r *http.Request) (Mail, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err == nil {
		for _, m := range s.Mails() {
			if m.ID == id {
				return m, true
			}
		}
	}
	answerError(w, http.StatusNotFound, "no such mail; the oldest are forgotten")
	return Mail{}, false
}

func (s *Server) one(w http.ResponseWriter, r *http.Request) {
	if m, ok := s.find(w, r); ok {
		answer(w, http.StatusOK, m)
	}
}

func (s *Server) raw(w http.ResponseWriter, r *http.Request) {
	if m, ok := s.find(w, r); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8") // never rendered: a mail is anybody's HTML
		_, _ = w.Write(m.Raw)
	}
}

func (s *Server) forget(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.mails = nil
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone, or the status is sent already
}

func answerError(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": http.StatusText(status), "detail": detail})
}
