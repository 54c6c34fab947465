package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"utopia/cmd/internal/config"
)

const allSets = config.Kafka | config.Registry | config.Service | config.Log | config.Links | config.Mail | config.Webhook | config.WebhookKeys

// load parses args as a binary with the given sets would.
func load(t *testing.T, sets config.Set, environ []string, args ...string) (*config.Config, *pflag.FlagSet, error) {
	t.Helper()
	c := config.Default()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.Register(fs, sets)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return c, fs, c.Load(fs, environ)
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagsBeforeEnvironmentBeforeFileBeforeDefaults(t *testing.T) {
	file := write(t, "utopia.yaml", `
brokers: [file-1:9092, file-2:9092]
commit-interval: 70ms
log-level: warn
instance: from-file
dev: true
`)
	environ := []string{"UTOPIA_CONFIG=" + file, "UTOPIA_LOG_LEVEL=error", "UTOPIA_INSTANCE=from-env", "PATH=/bin"}
	c, fs, err := load(t, config.Kafka|config.Service|config.Log, environ, "--state-dir", "/s", "--instance=from-flag")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"file-1:9092", "file-2:9092"}, c.Brokers); diff != "" {
		t.Error(diff)
	}
	if c.CommitInterval != 70*time.Millisecond || c.LogLevel != "error" || c.Instance != "from-flag" || !c.Dev || c.LogFormat != "text" {
		t.Errorf("effective %+v", c)
	}
	got := map[string]string{}
	for _, i := range c.Effective(fs) {
		got[i.Setting] = i.Value + " | " + i.From
	}
	want := map[string]string{
		"brokers": "file-1:9092,file-2:9092 | file utopia.yaml", "log-level": "error | UTOPIA_LOG_LEVEL",
		"instance": "from-flag | flag", "log-format": "text | default", "dev": "true | file utopia.yaml",
	}
	for name, line := range want {
		if got[name] != line {
			t.Errorf("%s: %q, want %q", name, got[name], line)
		}
	}
}

func TestAFlagBeatsTheConfigVariable(t *testing.T) {
	one, two := write(t, "one.yaml", "log-level: warn"), write(t, "two.yaml", "log-level: error")
	c, _, err := load(t, config.Log, []string{"UTOPIA_CONFIG=" + one}, "--config", two)
	if err != nil || c.LogLevel != "error" {
		t.Fatalf("%v %s", err, c.LogLevel)
	}
}

func TestWrongSettingsAreNamedBeforeAnythingConnects(t *testing.T) {
	empty := write(t, "empty", "\n")
	good := write(t, "password", "s3cret\n")
	notPEM := write(t, "ca.pem", "hello")
	for name, tc := range map[string]struct {
		file    string
		environ []string
		args    []string
		want    []string
	}{
		"a broker without port":         {args: []string{"--brokers", "kafka"}, want: []string{`--brokers: "kafka" is not host:port`}},
		"a broker with a bad port":      {environ: []string{"UTOPIA_BROKERS=a:1,b:x"}, want: []string{`--brokers (from UTOPIA_BROKERS): "b:x" has no valid port`}},
		"no broker":                     {args: []string{"--brokers", ""}, want: []string{"--brokers: name at least one broker"}},
		"TLS files without TLS":         {args: []string{"--tls-ca", "x", "--tls-cert", "y"}, want: []string{"--tls-ca: has no effect without --tls", "--tls-cert: has no effect without --tls"}},
		"half a client certificate":     {args: []string{"--tls", "--tls-cert", "y"}, want: []string{"needs both --tls-cert and --tls-key"}},
		"a CA file that is missing":     {args: []string{"--tls", "--tls-ca", "/does/not/exist"}, want: []string{"--tls-ca: open /does/not/exist"}},
		"a CA file without certificate": {args: []string{"--tls", "--tls-ca", notPEM}, want: []string{"holds no PEM certificate"}},
		"an unknown mechanism":          {args: []string{"--sasl", "gssapi", "--sasl-user", "u", "--sasl-password-file", good}, want: []string{`--sasl: "gssapi" is none of`}},
		"a user without a mechanism":    {args: []string{"--sasl-user", "u"}, want: []string{"but no mechanism"}},
		"no user and no password":       {args: []string{"--sasl", "scram-sha-256"}, want: []string{"--sasl-user: needed with --sasl", "set UTOPIA_SASL_PASSWORD"}},
		"an empty password file":        {args: []string{"--sasl", "scram-sha-256", "--sasl-user", "u", "--sasl-password-file", empty}, want: []string{"is empty"}},
		"a password in two places":      {environ: []string{"UTOPIA_SASL_PASSWORD=x"}, args: []string{"--sasl", "scram-sha-256", "--sasl-user", "u", "--sasl-password-file", good}, want: []string{"given twice"}},
		"plain in the clear":            {args: []string{"--brokers", "kafka.example.org:9092", "--sasl", "plain", "--sasl-user", "u", "--sasl-password-file", good}, want: []string{"in the clear"}},
		"a registry that is no URL":     {args: []string{"--registry", "localhost:8081"}, want: []string{"--registry: not a URL"}},
		"a registry URL with password":  {args: []string{"--registry", "http://u:p@localhost:8081"}, want: []string{"ends up in logs"}},
		"no state directory":            {environ: []string{"UTOPIA_STATE_DIR="}, want: []string{"--state-dir (from UTOPIA_STATE_DIR): name a directory"}},
		"an instance with a slash":      {args: []string{"--instance", "a/b"}, want: []string{`--instance: "a/b"`}},
		"a commit interval of zero":     {args: []string{"--commit-interval", "0s"}, want: []string{"--commit-interval: 0s is not between"}},
		"an endless commit interval":    {args: []string{"--commit-interval", "1m"}, want: []string{"--commit-interval: 1m0s"}},
		"a negative grace":              {args: []string{"--restart-within", "-1s"}, want: []string{"--restart-within"}},
		"a bad listen address":          {args: []string{"--http", "8080"}, want: []string{`--http: "8080" is not host:port`}},
		"a log format":                  {args: []string{"--log-format", "xml"}, want: []string{"--log-format"}},
		"a log level":                   {args: []string{"--log-level", "loud"}, want: []string{"--log-level"}},
		"a missing key file":            {args: []string{"--link-keys", "/does/not/exist"}, want: []string{"--link-keys"}},
		"a missing webhook key file":    {args: []string{"--webhook-keys", "/does/not/exist"}, want: []string{"--webhook-keys"}},
		"no URL of the gateway":         {args: []string{"--api-url", "example.org"}, want: []string{"--api-url: receivers need"}},
		"no mail server":                {args: []string{"--smtp", ""}, want: []string{"--smtp: name the mail server"}},
		"mail to both places":           {args: []string{"--mail-dir", "d"}, want: []string{"--mail-dir: either this or --smtp"}},
		"a bad mail server":             {args: []string{"--smtp", "mail"}, want: []string{`--smtp: "mail"`}},
		"mail password in the clear":    {args: []string{"--smtp-tls", "none", "--smtp-user", "u", "--smtp-password-file", good, "--smtp", "m.example.org:25"}, want: []string{"--smtp-tls: none"}},
		"no sender":                     {args: []string{"--mail-from", ""}, want: []string{"--mail-from"}},
		"no base URL":                   {args: []string{"--base-url", "example.org"}, want: []string{"--base-url"}},
		"a misspelt key in the file":    {file: "broker: x", want: []string{`there is no setting "broker"; did you mean "brokers"?`}},
		"a nested key in the file":      {file: "tls:\n  ca: x", want: []string{`there is no setting "tls.ca"`}},
		"a value of the wrong type":     {file: "dev: maybe", want: []string{"file c.yaml", `"maybe"`, "--dev"}},
		"a file that is not YAML":       {file: "a: [", want: []string{"c.yaml: "}},
		"a variable of the wrong type":  {environ: []string{"UTOPIA_COMMIT_INTERVAL=soon"}, want: []string{"UTOPIA_COMMIT_INTERVAL", "soon"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"--state-dir", "s", "--smtp", "localhost:25", "--mail-from", "a@example.org", "--base-url", "http://localhost", "--api-url", "http://localhost"}
			if name == "no state directory" {
				args = args[2:]
			}
			if tc.file != "" {
				args = append(args, "--config", write(t, "c.yaml", tc.file))
			}
			_, _, err := load(t, allSets, tc.environ, append(args, tc.args...)...)
			if !errors.Is(err, config.ErrInvalid) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestAMissingConfigFileIsAnError(t *testing.T) {
	_, _, err := load(t, config.Log, nil, "--config", "/does/not/exist.yaml")
	if !errors.Is(err, config.ErrInvalid) || !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestSettingsOfOtherBinariesInASharedFileDoNoHarm(t *testing.T) {
	file := write(t, "shared.yaml", "smtp: mail.example.org:25\nlog-level: debug\nsasl-password: hush\n")
	c, fs, err := load(t, config.Log, nil, "--config", file)
	if err != nil || c.LogLevel != "debug" || c.SMTP != "" || c.SASLPassword != "" {
		t.Fatalf("%v %+v", err, c)
	}
	for _, i := range c.Effective(fs) {
		if i.Setting == "smtp" {
			t.Error("shows a setting that it does not obey")
		}
	}
}

func TestUnknownVariablesAreListedNotRefused(t *testing.T) {
	c, _, err := load(t, config.Log, []string{"UTOPIA_PORT=tcp://10.0.0.1:80", "UTOPIA_LOG_LEVL=debug"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"UTOPIA_PORT", "UTOPIA_LOG_LEVL"}, c.Ignored()); diff != "" {
		t.Error(diff)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	file := write(t, "c.yaml", "sasl: scram-sha-512\nsasl-user: u\nregistry-user: r\nsmtp-user: m\nsmtp-password: canary-file\n")
	environ := []string{"UTOPIA_SASL_PASSWORD=canary-sasl", "UTOPIA_REGISTRY_PASSWORD=canary-registry"}
	c, fs, err := load(t, allSets, environ, "--api-url", "http://localhost", "--config", file, "--state-dir", "s", "--smtp", "localhost:25",
		"--mail-from", "a@example.org", "--base-url", "http://user:canary-url@localhost")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := config.WriteItems(&out, c.Effective(fs)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("a secret is shown:\n%s", out.String())
	}
	if n := strings.Count(out.String(), "********"); n != 4 {
		t.Errorf("%d masks, want 4:\n%s", n, out.String())
	}
	if user, password, err := c.RegistryLogin(); user != "r" || password != "canary-registry" || err != nil {
		t.Error(user, password, err)
	}
	if user, password, err := c.SMTPLogin(); user != "m" || password != "canary-file" || err != nil {
		t.Error(user, password, err)
	}
}

func TestTheLoggerObeysFormatAndLevel(t *testing.T) {
	c, _, err := load(t, config.Log, nil, "--log-format=json", "--log-level=warn")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := c.Logger(&out)
	log.Info("not this")
	log.Warn("this")
	if got := out.String(); !strings.HasPrefix(got, "{") || strings.Contains(got, "not this") || !strings.Contains(got, `"msg":"this"`) {
		t.Error(got)
	}
}
