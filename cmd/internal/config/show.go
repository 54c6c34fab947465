package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
)

// Item is one setting as `config check` prints it.
type Item struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	From    string `json:"from"`
}

// masked stands for a secret that is set, whatever its length.
const masked = "********"

// Effective lists the settings of the registered sets with the values that hold
// and where each comes from. Secrets are masked, also inside URLs.
func (c *Config) Effective(fs *pflag.FlagSet) []Item {
	var items []Item
	for _, s := range settings() {
		if s.set&c.sets == 0 {
			continue
		}
		from := c.origins[s.name]
		if from == "" {
			from = "default"
		}
		var value string
		switch f := fs.Lookup(s.name); {
		case s.secret:
			value = *s.text(c)
			if value != "" {
				value = masked
			}
		case f == nil:
			continue
		case f.Value.Type() == "stringSlice":
			value = strings.Trim(f.Value.String(), "[]")
		default:
			value = maskURL(f.Value.String())
		}
		items = append(items, Item{Setting: s.name, Value: value, From: from})
	}
	return items
}

// maskURL hides a password that someone wrote into a URL.
func maskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	if _, has := u.User.Password(); !has {
		return s
	}
	u.User = url.UserPassword(u.User.Username(), "x")
	return strings.Replace(u.String(), ":x@", ":"+masked+"@", 1)
}

// WriteItems prints items as aligned columns: setting, value, origin.
func WriteItems(w io.Writer, items []Item) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "SETTING\tVALUE\tFROM")
	for _, i := range items {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", i.Setting, i.Value, i.From)
	}
	return t.Flush()
}

// Logger writes to w in the configured format from the configured level up.
func (c *Config) Logger(w io.Writer) *slog.Logger {
	l, err := level(c.LogLevel)
	if err != nil {
		l = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: l}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func level(s string) (slog.Level, error) {
	var l slog.Level
	err := l.UnmarshalText([]byte(s))
	return l, err
}

// RegistryLogin returns user and password for the schema registry, both empty
// if none is configured.
func (c *Config) RegistryLogin() (user, password string, err error) {
	return login(c.RegistryUser, c.RegistryPassword, c.RegistryPasswordFile)
}

// SMTPLogin returns user and password for the mail server, both empty if none is
// configured.
func (c *Config) SMTPLogin() (user, password string, err error) {
	return login(c.SMTPUser, c.SMTPPassword, c.SMTPPasswordFile)
}

func login(user, password, path string) (string, string, error) {
	if user == "" || path == "" {
		return user, password, nil
	}
	s, err := readSecret(path)
	return user, s, err
}
