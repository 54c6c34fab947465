package pages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"utopia/cmd/internal/history"
	"utopia/cmd/internal/timeline"
	"utopia/processors"
)

const (
	pastShown  = 30                      // commands and events of a page
	pastWithin = 2500 * time.Millisecond // how long a page waits for them
)

// past is a page of what has happened: each entry below what caused it.
type past struct {
	ID      string
	Roots   []*timeline.Node
	Next    string
	Partial bool
	Trouble bool // nothing could be read
}

func (h *handler) past(ctx context.Context, id, before string) past {
	p, err := h.readPast(ctx, id, before)
	if err != nil {
		h.cfg.Logger.Warn("the timeline of a customer cannot be read", slog.Any("error", err))
		p.Trouble = true
	}
	return p
}

func (h *handler) readPast(ctx context.Context, id, before string) (past, error) {
	reading, cancel := context.WithTimeout(ctx, pastWithin)
	defer cancel()
	read, err := h.cfg.Clerk.Timeline.Read(reading, id, before, pastShown)
	return past{ID: id, Roots: timeline.Tree(read.Entries), Next: read.Next, Partial: read.Partial}, err
}

// timeline is a page of its own: what was before a cursor, or the newest.
func (h *handler) timeline(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	p, err := h.readPast(r.Context(), id, r.URL.Query().Get("before"))
	switch {
	case errors.Is(err, history.ErrCursor):
		h.note(w, http.StatusBadRequest, "No such page", note{"Its address was not made here.", "/customers/" + id, "The customer"})
	case err != nil && !errors.Is(err, processors.ErrNotFound):
		h.unreadable(w, id, err)
	case err != nil:
		h.unreadable(w, id, processors.ErrNotFound)
	default:
		h.show(w, http.StatusOK, "timeline", page{Title: "What has happened to " + id, Place: "/customers/", Data: p})
	}
}

// what says what an entry is.
func what(e timeline.Entry) string {
	switch e.Kind {
	case timeline.Mail:
		return "Mail"
	case timeline.Notice:
		if e.Type == "email" {
			return "Told: the e-mail address has changed"
		}
		return "Told: the address has changed"
	case timeline.Invoice:
		return "Open invoice " + e.ID
	case timeline.Applied:
		return map[string]string{"billing": "Billing", "notification": "Notification"}[e.Service] + " has applied the version"
	}
	return timeline.Sentence(e.Type)
}
