//go:build synctests

package parts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/links"
	"utopia/cmd/internal/mailer"
	"utopia/schemas"
	"utopia/topics"
)

// MailerGroup is the consumer group of all mailers.
const MailerGroup = mailer.Group

// ErrMailerFenced is the end of a mailer whose place another process has taken.
var ErrMailerFenced = mailer.ErrFenced

// Mailer says what a mailer needs to run in a simulation.
type Mailer struct {
	Client   []kgo.Opt
	IDs      schemas.IDs
	Logger   *slog.Logger
	Instance string
	// Send answers instead of a mail server: "" for a mail that was taken, a code for one that was not. A code that begins with "smtp_5"
	// is final.
	Send func(ctx context.Context, mailID string) (code string)
}

// New makes a mailer that has not started.
func (m Mailer) New() (*mailer.Mailer, error) {
	keys, err := links.ParseKeys(strings.NewReader("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	codec, err := schemas.NewCodec(topics.MailCommands.Name, m.IDs)
	if err != nil {
		return nil, fmt.Errorf("codec: %w", err)
	}
	if err := codec.Lookup(); err != nil {
		return nil, fmt.Errorf("codec: %w", err)
	}
	return mailer.New(mailer.Config{
		Client: m.Client, Commands: codec, Sender: sender(m.Send), From: "no-reply@example.org", Keys: keys,
		Page: &url.URL{Scheme: "https", Host: "example.org", Path: "/confirm"}, Logger: m.Logger, Instance: m.Instance,
		Retry: mailer.Retry{Attempts: 5, First: time.Second, Limit: 10 * time.Second},
	})
}

type sender func(ctx context.Context, mailID string) string

// Send implements mailer.Sender.
func (s sender) Send(ctx context.Context, m *mailer.Message) error {
	code := s(ctx, m.MailID)
	if code == "" {
		return nil
	}
	return &mailer.Failure{Code: code, Temporary: !strings.HasPrefix(code, "smtp_5"), Err: errors.New("the simulated mail server says no")}
}
