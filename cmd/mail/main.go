// Command mail runs the mail service: the processor that accepts and remembers
// mails, and the mailer that hands them to a mail server, or to files.
package main

import (
	"fmt"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/config"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/mailer"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/processors"
	"utopia/schemas"
	"utopia/topics"
)

func main() { os.Exit(run.Main(service.Run(spec()))) }

func spec() service.Spec {
	return service.Spec{
		Group: topics.Mail, Short: "Sends mails that other services ask for, and says what became of them", HTTP: "127.0.0.1:9104",
		Sets: config.Mail | config.Links, New: processors.NewMail, More: mailing,
		Commands: []func(service.Spec, service.Streams) *cobra.Command{newKeyCommand},
	}
}

// mailing makes the mailer.
func mailing(e *service.Env) ([]run.Part, error) {
	c := e.Config
	if c.LinkKeys == "" {
		return nil, run.Usagef("--link-keys: links in mails are signed, and there is no default key; make one with: mail new-link-key --out FILE")
	}
	keys, err := links.LoadKeys(c.LinkKeys)
	if err != nil {
		return nil, run.Usagef("--link-keys: %w", err)
	}
	page, err := url.Parse(c.BaseURL)
	if err != nil {
		return nil, run.Usagef("--base-url: %w", err)
	}
	sender, err := sender(e)
	if err != nil {
		return nil, err
	}
	commands, err := schemas.NewCodec(topics.MailCommands.Name, e.IDs)
	if err != nil {
		return nil, err
	}
	name, err := service.Instance(c, "mailer-instance")
	if err != nil {
		return nil, err
	}
	m, err := mailer.New(mailer.Config{
		Client: e.Client, Commands: commands, Sender: sender, From: c.MailFrom, Keys: keys, Page: page, Logger: e.Log,
		Hooks: hooks(e), Instance: name,
	})
	if err != nil {
		return nil, err
	}
	ready := func() error {
		if !m.Ready() {
			return fmt.Errorf("waiting for a place in group %s", mailer.Group)
		}
		return nil
	}
	return []run.Part{{Name: "mailer", Run: m.Run, Ready: ready}}, nil
}

func sender(e *service.Env) (mailer.Sender, error) {
	c := e.Config
	if c.MailDir == "-" {
		return mailer.NewConsoleSender(e.Stdout), nil
	}
	if c.MailDir != "" {
		s, err := mailer.NewFileSender(c.MailDir)
		if err != nil {
			return nil, run.Usagef("--mail-dir: %w", err)
		}
		return s, nil
	}
	encryption, err := mailer.ParseEncryption(c.SMTPTLS)
	if err != nil {
		return nil, run.Usagef("--smtp-tls: %w", err)
	}
	user, password, err := c.SMTPLogin()
	if err != nil {
		return nil, fmt.Errorf("--smtp-password-file: %w", err)
	}
	s, err := mailer.NewSMTPSender(mailer.SMTPConfig{
		Addr: c.SMTP, Encryption: encryption, Username: user, Password: password,
	})
	if err != nil {
		return nil, run.Usagef("--smtp: %w", err)
	}
	return s, nil
}
