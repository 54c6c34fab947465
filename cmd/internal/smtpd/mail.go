package smtpd

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// maxDepth bounds multipart within multipart; ours have one level.
const maxDepth = 8

// Mail is one received mail.
type Mail struct {
	ID         int       `json:"id"` // counts up from 1
	ReceivedAt time.Time `json:"receivedAt"`
	From       string    `json:"from"` // of the envelope
	To         []string  `json:"to"`   // of the envelope
	Subject    string    `json:"subject"`
	MessageID  string    `json:"messageId"` // without angle brackets
	Language   string    `json:"language,omitempty"`
	Text       string    `json:"text,omitempty"`
	HTML       string    `json:"html,omitempty"`
	Size       int       `json:"size"`
	Problem    string    `json:"problem,omitempty"` // why header or body could not be read; Raw has everything all the same
	Raw        []byte    `json:"-"`                 // as received

	Header mail.Header `json:"-"`
}

// parse never fails: a mail that is not one is worth seeing too.
func parse(from string, to []string, raw []byte, now time.Time) Mail {
	m := Mail{ReceivedAt: now.UTC(), From: from, To: to, Size: len(raw), Raw: raw}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		m.Problem = err.Error()
		return m
	}
	m.Header = msg.Header
	m.Subject = decodeHeader(msg.Header.Get("Subject"))
	m.MessageID = strings.Trim(msg.Header.Get("Message-Id"), "<> ")
	m.Language = msg.Header.Get("Content-Language")
	if err := m.part(textproto.MIMEHeader(msg.Header), msg.Body, 0); err != nil {
		m.Problem = err.Error()
	}
	return m
}

// part takes the first text and the first HTML part.
func (m *Mail) part(h textproto.MIMEHeader, body io.Reader, depth int) error {
	kind, params := "text/plain", map[string]string{}
	if ct := h.Get("Content-Type"); ct != "" {
		var err error
		if kind, params, err = mime.ParseMediaType(ct); err != nil {
			return fmt.Errorf("content type: %w", err)
		}
	}
	if strings.HasPrefix(kind, "multipart/") {
		return m.parts(multipart.NewReader(body, params["boundary"]), depth+1)
	}
	into := &m.Text
	switch kind {
	case "text/plain":
	case "text/html":
		into = &m.HTML
	default:
		return nil // an attachment: in Raw
	}
	if *into != "" {
		return nil
	}
	b, err := io.ReadAll(decodeBody(h.Get("Content-Transfer-Encoding"), body))
	*into = strings.ReplaceAll(strings.ToValidUTF8(string(b), "\uFFFD"), "\r\n", "\n")
	return err
}

func (m *Mail) parts(r *multipart.Reader, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d levels of parts", maxDepth)
	}
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := m.part(p.Header, p, depth); err != nil {
			return err
		}
	}
}

func decodeBody(encoding string, r io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r) // skips line ends
	}
	return r
}

func decodeHeader(s string) string {
	if d, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		return d
	}
	return s
}
