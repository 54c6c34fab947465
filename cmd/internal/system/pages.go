package system

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"utopia/cmd/internal/links"
	"utopia/cmd/internal/smtpd"
	"utopia/processors"
)

//go:embed pages.html
var pagesHTML string

// pages are what a person sees in a browser: where everything is, the mails, and what to type for a link in one of them.
// They change nothing: the page that confirms belongs to the gateway. A mail is shown as text, never as anybody's HTML.
//
//nolint:gochecknoglobals // A template that cannot be parsed fails every test, not a request.
var pages = template.Must(template.New("pages").Parse(pagesHTML))

// mailsShown bounds a list of mails; ?to=ADDRESS finds the others.
const mailsShown = 100

// openPages adds the pages to mux. Mails hold live links, so a page asked for by another name than this machine's is
// refused, as the JSON of the mails is.
func (s *System) openPages(mux *http.ServeMux) {
	page := func(pattern string, h http.HandlerFunc) {
		mux.Handle("GET "+pattern, smtpd.LocalOnly(h))
	}
	page("/{$}", s.front)
	page("/dev/mail/{$}", s.mailList)
	page("/dev/mail/read/{id}", s.mailPage)
	page("/confirm", func(w http.ResponseWriter, _ *http.Request) { show(w, http.StatusOK, "confirm", nil) })
}

// Flags is what a command line has to add to find this system: nothing on the documented ports.
func (s *System) Flags() string {
	flags := ""
	if s.Broker != fmt.Sprintf("127.0.0.1:%d", KafkaPort) {
		flags += " --brokers " + s.Broker
	}
	if s.RegistryURL != fmt.Sprintf("http://127.0.0.1:%d", RegistryPort) {
		flags += " --registry " + s.RegistryURL
	}
	return flags
}

type frontPage struct {
	Broker, Registry, Flags string
	Mails                   []smtpd.Mail
}

func (s *System) front(w http.ResponseWriter, _ *http.Request) {
	show(w, http.StatusOK, "front", frontPage{s.Broker, s.RegistryURL, s.Flags(), newest(s.Inbox.Mails(), "", 10)})
}

type mailList struct {
	To    string
	Of    int
	Mails []smtpd.Mail
}

func (s *System) mailList(w http.ResponseWriter, r *http.Request) {
	to, all := r.URL.Query().Get("to"), s.Inbox.Mails()
	show(w, http.StatusOK, "mails", mailList{to, len(all), newest(all, to, mailsShown)})
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
	Do []typed
}

// typed is what to type for a link.
type typed struct{ What, Line string }

func (s *System) mailPage(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	all := s.Inbox.Mails()
	i := slices.IndexFunc(all, func(m smtpd.Mail) bool { return m.ID == id })
	if err != nil || i < 0 {
		show(w, http.StatusNotFound, "gone", nil)
		return
	}
	show(w, http.StatusOK, "mail", mailPage{all[i], s.commandLines(all[i].Text)})
}

// commandLines says for each link of a mail what to type. A link that has expired, or that this system did not sign, has
// none.
func (s *System) commandLines(text string) []typed {
	verbs := map[string]typed{
		processors.PurposeConfirm: {"confirm the change", "confirm"},
		processors.PurposeCancel:  {"take the change back", "cancel"},
	}
	var out []typed
	for word := range strings.FieldsSeq(text) {
		if !strings.Contains(word, "#") {
			continue
		}
		claims, err := links.Verify(s.Keys, links.Token(word), time.Now())
		if v, ok := verbs[claims.Purpose]; ok && err == nil {
			line := fmt.Sprintf("utopia customer %s%s --link-keys '%s' --token '%s'", v.Line, s.Flags(), s.KeyFile, links.Token(word))
			out = append(out, typed{v.What, line})
		}
	}
	return out
}

func show(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the browser is gone, or has it
}
