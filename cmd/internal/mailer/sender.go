package mailer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Sender hands a mail over. It is called from several goroutines.
type Sender interface {
	// Send returns nil once somebody else is responsible for the mail. Its error is a *Failure, which says whether to
	// try again, or that of ctx.
	Send(ctx context.Context, m *Message) error
}

// Failure says why a mail was not handed over. Code is short and stable and is reported; Err is for the log and names
// neither recipient nor content.
type Failure struct {
	Code      string
	Temporary bool
	Err       error
}

// Error implements error.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Code, f.Err) }

// Unwrap implements errors.Unwrap.
func (f *Failure) Unwrap() error { return f.Err }

// Codes of failures that no mail server named. A mail server's answer is reported as "smtp_550" or, where it gives an
// enhanced status code (RFC 3463), "smtp_550_5.1.1".
const (
	codeConnect     = "connect"      // no connection to the mail server, or it broke
	codeTimeout     = "timeout"      // the mail server was too slow
	codeTLS         = "tls"          // no encrypted connection could be made
	codeAuth        = "auth"         // the mail server did not accept our name and password
	codeUTF8        = "smtputf8"     // the mail server does not take this address's script
	codeFile        = "file"         // the directory cannot be written
	codeLinkExpired = "link_expired" // a link in the mail is dead
	codeLink        = "link"         // a link cannot be signed
	codeRecipient   = "recipient"    // the recipient is not an address
	codeDefect      = "defect"       // what the outbox holds is not a mail
)

// FileSender writes each mail to a file of its own, NAME.eml, where NAME is the local part of the Message-ID: a second
// copy replaces the first.
type FileSender struct{ dir string }

// NewFileSender makes the directory if there is none. Files are readable by their owner only: they hold live links.
func NewFileSender(dir string) (*FileSender, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mails to files: %w", err)
	}
	return &FileSender{dir: dir}, nil
}

// Send writes the file.
func (s *FileSender) Send(_ context.Context, m *Message) error {
	b, err := m.Bytes()
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(m.MessageID, "@")
	name = strings.ReplaceAll(name, "/", "+") // no id has a plus
	if err := writeWhole(filepath.Join(s.dir, name+".eml"), b); err != nil {
		return &Failure{Code: codeFile, Temporary: true, Err: err}
	}
	return nil
}

// writeWhole never shows half a mail to who looks into the directory. A name that is too long, or taken by a directory,
// is an error like a full disk.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".mail-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// ConsoleSender prints mails, live links included, for a person at a terminal.
type ConsoleSender struct {
	mu sync.Mutex
	w  io.Writer
}

// NewConsoleSender prints to w.
func NewConsoleSender(w io.Writer) *ConsoleSender { return &ConsoleSender{w: w} }

// Send prints the mail in one piece.
func (s *ConsoleSender) Send(_ context.Context, m *Message) error {
	b, err := m.Bytes()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintf(s.w, "----- mail %s -----\n%s\n", m.MailID, strings.ReplaceAll(string(b), "\r\n", "\n")); err != nil {
		return &Failure{Code: codeFile, Temporary: true, Err: err}
	}
	return nil
}
