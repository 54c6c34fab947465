package pages

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"utopia/cmd/internal/smtpd"
)

// mailsShown bounds a list of mails; ?to=ADDRESS finds the others.
const mailsShown = 100

type mailList struct {
	To    string
	Of    int
	Mails []smtpd.Mail
	Seen  int // the newest mail
}

func (h *handler) mails(w http.ResponseWriter, r *http.Request) {
	to, all := r.URL.Query().Get("to"), h.cfg.Clerk.Inbox.Mails()
	list := mailList{To: to, Of: len(all), Mails: newest(all, to, mailsShown)}
	if len(all) > 0 {
		list.Seen = all[len(all)-1].ID
	}
	if r.URL.Query().Get("seen") != "" { // the line that says how far things are
		writeLine(w, strconv.Itoa(list.Seen))
		return
	}
	h.show(w, http.StatusOK, "mails", page{Title: "Mails", Script: "live.js", Place: "/dev/mail/", Data: list})
}

// newest returns the last mails, newest first; to, if not empty, is whose.
func newest(all []smtpd.Mail, to string, most int) []smtpd.Mail {
	var out []smtpd.Mail
	for _, m := range slices.Backward(all) {
		if len(out) == most {
			break
		}
		if to == "" || slices.Contains(m.To, to) {
			out = append(out, m)
		}
	}
	return out
}

type mailPage struct {
	smtpd.Mail
	Typed []Typed
}

func (h *handler) findMail(w http.ResponseWriter, r *http.Request) (smtpd.Mail, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	all := h.cfg.Clerk.Inbox.Mails()
	i := slices.IndexFunc(all, func(m smtpd.Mail) bool { return m.ID == id })
	if err != nil || i < 0 {
		h.note(w, http.StatusNotFound, "No such mail", note{"The oldest mails are forgotten, and all of them when the process ends.", "/dev/mail/", "All mails"})
		return smtpd.Mail{}, false
	}
	return all[i], true
}

func (h *handler) mail(w http.ResponseWriter, r *http.Request) {
	m, ok := h.findMail(w, r)
	if !ok {
		return
	}
	p := mailPage{Mail: m}
	if h.cfg.Clerk.Type != nil {
		p.Typed = h.cfg.Clerk.Type(m.Text)
	}
	h.show(w, http.StatusOK, "mail", page{Title: "Mail: " + m.Subject, Place: "/dev/mail/", Data: p})
}

// mailHTML shows the HTML part as a mail program does, for a frame: no script runs, nothing is fetched, and a link opens in
// the whole window when a person follows it. A mail is anybody's HTML.
func (h *handler) mailHTML(w http.ResponseWriter, r *http.Request) {
	m, ok := h.findMail(w, r)
	if !ok {
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", "sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "+
		"form-action 'none'; frame-ancestors 'self'")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(strings.Replace(m.HTML, "<head>", `<head><base target="_top">`, 1))) //nolint:gosec // sandboxed by its policy
}

// writeLine answers the script that keeps a page fresh.
func writeLine(w http.ResponseWriter, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(line))
}
