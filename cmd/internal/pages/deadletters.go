package pages

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"utopia/cmd/internal/cluster"
	"utopia/cmd/internal/operator"
	"utopia/topics"
)

const (
	// lettersShown is how many dead letters a page has.
	lettersShown = 50
	// dumped is how many bytes are shown of a value that cannot be read.
	dumped = 1 << 10
)

// Letters are the dead letters, each to be decided once; *operator.Office is one.
type Letters interface {
	Letters(q operator.Query) (operator.Page, error)
	Letter(ctx context.Context, ref cluster.Ref) (operator.Content, error)
	Retry(ctx context.Context, ref cluster.Ref, who operator.Who) (operator.Action, error)
	Drop(ctx context.Context, ref cluster.Ref, who operator.Who) (operator.Action, error)
}

type letterList struct {
	operator.Page
	State, Topic   string
	States, Topics []choice
	NextPath       string
}

// letters lists dead letters. Its address has a topic, a time and a place in it, nothing else.
func (h *handler) letters(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l := letterList{State: q.Get("state"), Topic: q.Get("topic"), States: []choice{
		{"", "any state"}, {operator.Open, "open"}, {operator.Retried, "sent again"}, {operator.Dropped, "dropped"},
	}, Topics: []choice{{"", "any topic"}}}
	for _, t := range topics.All() {
		if t.Input() {
			l.Topics = append(l.Topics, choice{t.Name, t.Name})
		}
	}
	var err error
	l.Page, err = h.cfg.Clerk.Letters.Letters(operator.Query{Topic: l.Topic, State: l.State, Cursor: q.Get("from"), Limit: lettersShown})
	switch {
	case errors.Is(err, operator.ErrCursor):
		h.note(w, http.StatusBadRequest, "No such page", note{"Its address was not made here.", "/dead-letters", "All dead letters"})
	case err != nil:
		h.noLetters(w, err)
	default:
		if l.Next != "" {
			l.NextPath = "/dead-letters?" + url.Values{"topic": {l.Topic}, "state": {l.State}, "from": {l.Next}}.Encode()
		}
		h.show(w, http.StatusOK, "letters", page{Title: "Dead letters", Place: "/dead-letters", Data: l})
	}
}

type letterPage struct {
	operator.Content
	Path     string
	Text     string // the value, to be read
	Reason   string // typed
	Do       string // chosen
	Trouble  string // why nothing was done
	WrongDo  string
	WrongWhy string
}

// letterRef is what the address names; ok is false if it has been answered.
func (h *handler) letterRef(w http.ResponseWriter, r *http.Request) (ref cluster.Ref, ok bool) {
	ref, err := cluster.ParseRef(r.PathValue("topic") + "/" + r.PathValue("partition") + "/" + r.PathValue("offset"))
	t, known := topics.ByName(ref.Topic)
	if err != nil || !known || t.Kind != topics.DeadLetters {
		h.noLetters(w, cluster.ErrNoDeadLetter)
		return ref, false
	}
	return ref, true
}

func (h *handler) letter(w http.ResponseWriter, r *http.Request) {
	if ref, ok := h.letterRef(w, r); ok {
		h.showLetter(r.Context(), w, http.StatusOK, ref, letterPage{})
	}
}

// showLetter shows a letter, with what was typed so far.
func (h *handler) showLetter(ctx context.Context, w http.ResponseWriter, status int, ref cluster.Ref, p letterPage) {
	c, err := h.cfg.Clerk.Letters.Letter(ctx, ref)
	if err != nil {
		h.noLetters(w, err)
		return
	}
	if !h.caller.SeesPersons() {
		c = c.Masked()
	}
	p.Content, p.Path = c, "/dead-letters/"+ref.String()
	var indented bytes.Buffer
	switch {
	case c.JSON != nil && json.Indent(&indented, c.JSON, "", "  ") == nil:
		p.Text = indented.String()
	case len(c.Value) > 0:
		p.Text = hex.Dump(c.Value[:min(len(c.Value), dumped)])
		p.Cut = p.Cut || len(c.Value) > dumped
	}
	h.show(w, status, "letter", page{Title: "Dead letter", Place: "/dead-letters", Data: p})
}

// decide does what was chosen, and leads back to the letter, which then says what was done by whom. Sent twice it is done once.
func (h *handler) decide(w http.ResponseWriter, r *http.Request) {
	ref, ok := h.letterRef(w, r)
	if !ok {
		return
	}
	if status := parseForm(w, r); status != http.StatusOK {
		h.note(w, status, "This form cannot be read", note{"It is damaged or too large. Nothing was done.", "/dead-letters", "Dead letters"})
		return
	}
	p := letterPage{Do: r.PostForm.Get("do"), Reason: r.PostForm.Get("reason")}
	reason, err := operator.ParseReason(p.Reason)
	if err != nil {
		p.WrongWhy = "Say why, in one line of at most 200 characters."
	}
	var do func(context.Context, cluster.Ref, operator.Who) (operator.Action, error)
	switch p.Do {
	case "retry":
		do = h.cfg.Clerk.Letters.Retry
	case "drop":
		do = h.cfg.Clerk.Letters.Drop
	default:
		p.WrongDo = "Choose what is to be done."
	}
	if p.WrongDo != "" || p.WrongWhy != "" {
		h.showLetter(r.Context(), w, http.StatusUnprocessableEntity, ref, p)
		return
	}
	if _, err := do(r.Context(), ref, operator.By(h.caller, reason)); err != nil {
		if p.Trouble = refusal(err); p.Trouble == "" {
			h.noLetters(w, err)
			return
		}
		h.showLetter(r.Context(), w, http.StatusConflict, ref, p)
		return
	}
	http.Redirect(w, r, "/dead-letters/"+ref.String(), http.StatusSeeOther)
}

// refusal says why a decision was refused; empty: it was not.
func refusal(err error) string {
	switch {
	case errors.Is(err, operator.ErrDecided):
		return "It was decided otherwise meanwhile, and a decision is final. Nothing was done now."
	case errors.Is(err, cluster.ErrOvertaken):
		return "A later record of this key has replaced this one. Sent again, the old one would be the newest for everybody; whoever could not handle it has the later one. Nothing was done."
	case errors.Is(err, cluster.ErrNotKept):
		return "The record was too large to be kept, so there is nothing to send again. Nothing was done."
	case errors.Is(err, cluster.ErrNoOrigin):
		return "It does not say which topic it came from, so there is nowhere to send it to. Nothing was done."
	}
	return ""
}

// noLetters answers when dead letters cannot be shown or decided.
func (h *handler) noLetters(w http.ResponseWriter, err error) {
	back := note{"", "/dead-letters", "All dead letters"}
	switch {
	case errors.Is(err, cluster.ErrNoDeadLetter):
		back.Text = "There is none at this place, or its retention has ended."
		h.note(w, http.StatusNotFound, "No such dead letter", back)
	case errors.Is(err, operator.ErrNotReady):
		w.Header().Set("Retry-After", "1")
		back.Text = "The dead letters are still being read. Load this page again in a moment."
		h.note(w, http.StatusServiceUnavailable, "Not there yet", back)
	default:
		h.cfg.Logger.Warn("dead letters cannot be read or decided", slog.Any("error", err))
		w.Header().Set("Retry-After", "5")
		back.Text = "The cluster has not answered in time. If you have asked for something, nobody knows yet whether it is done: look at the letter again, or ask again, which does nothing twice."
		h.note(w, http.StatusServiceUnavailable, "No answer", back)
	}
}
