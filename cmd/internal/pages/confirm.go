package pages

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"utopia/cmd/internal/links"
	"utopia/processors"
	"utopia/processors/customer"
	"utopia/schemas"
)

// ask shows the page behind a link. It changes nothing, whoever opens it: the token is in the fragment, which never gets
// here, and a person has to press a button.
func (h *handler) ask(w http.ResponseWriter, r *http.Request) {
	words := h.dictionary.speak(r.Header.Get("Accept-Language"))
	h.show(w, http.StatusOK, "ask", page{
		Title: words.Say("ask.paste.title"), Lang: words.Language, Script: "confirm.js", Data: words,
		Asks: []string{"confirm", "cancel", "paste"},
	})
}

// answer is what a person is told who has posted a link.
type answer struct {
	name   string // of the sentences
	status int
	at     time.Time     // for the gap
	again  time.Duration // when to send Token once more; 0: 5 s
	Mood   string        // how the sign looks
	Sign   string

	Title, Text, Next, Button string
	Token                     string // to send once more
}

func good(name string) answer { return answer{name: name, status: http.StatusOK, Sign: "✓"} }

func gone(name string) answer {
	return answer{name: name, status: http.StatusGone, Mood: "wait", Sign: "–"}
}

// wrong is the one answer to every token that nobody signed: whoever tries tokens does not learn which part was wrong.
func wrong(status int) answer {
	return answer{name: "invalid", status: status, Mood: "bad", Sign: "!"}
}

// post does what a link asks for.
func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	words := h.dictionary.speak(r.Header.Get("Accept-Language"))
	if status := parseForm(w, r); status != http.StatusOK {
		h.tell(w, words, wrong(status))
		return
	}
	token := links.Token(r.PostForm.Get("token"))
	if h.cfg.Limit != nil {
		if again, ok := h.cfg.Limit(r); !ok {
			h.tell(w, words, answer{name: "busy", status: http.StatusTooManyRequests, Mood: "wait", Sign: "…", Token: token, again: again})
			return
		}
	}
	h.tell(w, words, h.redeem(r.Context(), token))
}

// redeem verifies a token and asks the customer service for what it says. Single use is the service's: the command's id is
// made from the token, so that a token posted twice, or at two gateways at once, is one command with one outcome.
func (h *handler) redeem(ctx context.Context, token string) answer {
	claims, err := links.Verify(h.cfg.Keys, token, h.now())
	switch {
	case errors.Is(err, links.ErrExpired):
		a := gone("expired")
		a.at = claims.ExpiresAt
		return a
	case err != nil:
		return wrong(http.StatusBadRequest)
	}
	sum := sha256.Sum256([]byte(token))
	meta := schemas.Metadata{CommandID: "link-" + hex.EncodeToString(sum[:16])}
	var command schemas.Command
	switch claims.Purpose {
	case processors.PurposeConfirm:
		command = &schemas.ConfirmAddressChange{CustomerID: claims.Subject, Meta: meta, ChangeID: claims.Change, ExpiresAt: schemas.Millis(claims.ExpiresAt)}
	case processors.PurposeCancel:
		if claims.Change == "" { // would take back whatever change there is
			return wrong(http.StatusBadRequest)
		}
		command = &schemas.CancelAddressChange{CustomerID: claims.Subject, Meta: meta, ChangeID: claims.Change}
	default:
		return wrong(http.StatusBadRequest)
	}
	asking, cancel := context.WithTimeout(ctx, h.cfg.Wait)
	defer cancel()
	reply, err := h.cfg.Ask.Ask(asking, claims.Subject, command)
	if err != nil {
		h.cfg.Logger.Warn("a link was posted and its command has no reply yet", slog.String("command", meta.CommandID), slog.Any("error", err))
		return answer{name: "later", status: http.StatusServiceUnavailable, Mood: "wait", Sign: "…", Token: token}
	}
	if reply.Outcome != schemas.OutcomeAccepted {
		return refused(reply, claims)
	}
	if reply.Repeat {
		return used()
	}
	if claims.Purpose == processors.PurposeCancel {
		return good("kept")
	}
	return h.confirmed(ctx, reply, claims)
}

func used() answer {
	return answer{name: "used", status: http.StatusConflict, Mood: "wait", Sign: "–"}
}

// refused says why nothing has happened.
func refused(reply schemas.ReplyFields, claims links.Claims) answer {
	refusal, _ := customer.RefusalByCode(reply.Refusal)
	switch {
	case errors.Is(refusal, customer.ErrNoPendingChange), errors.Is(refusal, customer.ErrAlreadyConfirmed):
		return used()
	case errors.Is(refusal, customer.ErrOtherChange):
		return gone("superseded")
	case errors.Is(refusal, customer.ErrExpired):
		a := gone("expired")
		a.at = claims.ExpiresAt
		return a
	}
	return gone("closed")
}

// confirmed says what a confirmation led to: the change took effect, waits for its date, or was overtaken by something newer.
// Which of them, the state of that version knows; if it is slow to arrive, the person is told no less than the truth.
func (h *handler) confirmed(ctx context.Context, reply schemas.ReplyFields, claims links.Claims) answer {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	state, err := h.cfg.Customers.After(ctx, processors.Receipt{Aggregate: "customer", Key: reply.Key, Version: reply.Version})
	switch {
	case err != nil || state.Version != reply.Version && state.Address.Version != reply.Version: // slow, or things have gone on
		return good("answered")
	case state.Address.Version == reply.Version:
		return good("moved")
	case state.Pending != nil && state.Pending.ChangeID == claims.Change:
		a := good("scheduled")
		a.at = schemas.Time(state.Pending.EffectiveAt)
		return a
	}
	a := good("outdated")
	a.Mood, a.Sign = "wait", "–"
	return a
}

func (h *handler) tell(w http.ResponseWriter, words words, a answer) {
	a.Title, a.Text, a.Next = words.Say(a.name+".title"), words.on(a.name+".text", a.at), words.Say(a.name+".next")
	if a.Token != "" {
		a.Button = words.Say(a.name + ".button")
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(cmp.Or(a.again, 5*time.Second).Seconds())), 10))
	}
	h.show(w, a.status, "answer", page{Title: a.Title, Lang: words.Language, Data: a})
}

// foreign answers a post that another site's page has sent.
func (h *handler) foreign(w http.ResponseWriter, r *http.Request) {
	h.tell(w, h.dictionary.speak(r.Header.Get("Accept-Language")), answer{name: "foreign", status: http.StatusForbidden, Mood: "bad", Sign: "!"})
}
