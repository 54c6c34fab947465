// Package config is the one configuration of all binaries: flags, then
// environment variables (UTOPIA_*), then a YAML file, then defaults; the first
// that names a setting wins. A setting is spelled the same way everywhere:
// --tls-ca, UTOPIA_TLS_CA, and tls-ca in the file.
//
// It checks everything that can be checked before anything connects, and turns
// the result into options of the Kafka client. It deliberately opens no
// connection and knows no topic.
package config

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

// ErrInvalid is wrapped by every error of Load: the person has to change a
// setting, nothing was connected or written.
var ErrInvalid = errors.New("invalid configuration")

// Set names a group of settings that a binary or command has.
type Set uint

// The groups. A binary registers only those that it obeys, so that --help never
// shows a flag without effect.
const (
	// Kafka is how to reach the cluster.
	Kafka Set = 1 << iota
	// Registry is how to reach the schema registry.
	Registry
	// Service is what every processor has: state, instance, metrics address.
	Service
	// Log is format and level of the log.
	Log
	// Links is the keys that sign and verify confirmation links.
	Links
	// Mail is how the mailer delivers.
	Mail
	// Gateway is how the HTTP API is served, and to whom.
	Gateway
	// WebhookKeys is the keys that the secrets of webhooks are derived from.
	WebhookKeys
	// Webhook is how webhooks are called.
	Webhook
	// Query is how the customer service's query side is served.
	Query
)

// Config is the effective configuration after Load. Fields of groups that were
// not registered keep their zero value.
type Config struct {
	File string

	Brokers          []string
	TLS              bool
	TLSCA            string
	TLSCert          string
	TLSKey           string
	TLSServerName    string
	SASL             string
	SASLUser         string
	SASLPassword     string // environment or file only: a flag shows in the process list
	SASLPasswordFile string

	Registry             string
	RegistryUser         string
	RegistryPassword     string // environment or file only
	RegistryPasswordFile string

	StateDir       string
	Instance       string
	RestartWithin  time.Duration
	CommitInterval time.Duration
	RecoverAhead   bool
	HotStandby     bool
	HTTP           string
	Dev            bool

	LogFormat string
	LogLevel  string

	LinkKeys string

	WebhookKeys     string
	WebhookLoopback bool
	APIURL          string

	QueryListen          string
	QueryCert            string
	QueryKey             string
	CustomerQuery        []string
	CustomerQueryKey     string // environment or file only
	CustomerQueryKeyFile string

	SMTP             string
	SMTPUser         string
	SMTPPassword     string // environment or file only
	SMTPPasswordFile string
	SMTPTLS          string
	MailFrom         string
	MailDir          string
	BaseURL          string

	Listen        string
	ListenCert    string
	ListenKey     string
	APIKeys       string
	OIDCIssuer    string
	OIDCAudience  string
	Open          bool
	Rate          float64
	PublicRate    float64
	MaxStreams    int
	CallerStreams int
	AddressHeader string
	DrainDelay    time.Duration

	Pages                bool
	PagesURL             string
	SessionKeys          string
	OIDCClientID         string
	OIDCClientSecret     string // environment or file only
	OIDCClientSecretFile string

	sets    Set
	origins map[string]string
	ignored []string
}

// The documented loopback ports of `utopia up`, so that the command line finds
// it without any flag.
const (
	DefaultBroker   = "127.0.0.1:9092"
	DefaultRegistry = "http://127.0.0.1:8081"
)

// A setting is one line of the table that everything else is derived from.
type setting struct {
	name   string
	set    Set
	secret bool
	bind   func(*pflag.FlagSet, *Config) // nil for a setting without a flag
	text   func(*Config) *string         // where a setting without a flag is kept
}

func text(set Set, name, usage string, field func(*Config) *string) setting {
	return setting{name: name, set: set, bind: func(fs *pflag.FlagSet, c *Config) {
		fs.StringVar(field(c), name, *field(c), usage)
	}}
}

func flag(set Set, name, usage string, field func(*Config) *bool) setting {
	return setting{name: name, set: set, bind: func(fs *pflag.FlagSet, c *Config) {
		fs.BoolVar(field(c), name, *field(c), usage)
	}}
}

func duration(set Set, name, usage string, field func(*Config) *time.Duration) setting {
	return setting{name: name, set: set, bind: func(fs *pflag.FlagSet, c *Config) {
		fs.DurationVar(field(c), name, *field(c), usage)
	}}
}

func number(set Set, name, usage string, field func(*Config) *float64) setting {
	return setting{name: name, set: set, bind: func(fs *pflag.FlagSet, c *Config) {
		fs.Float64Var(field(c), name, *field(c), usage)
	}}
}

func count(set Set, name, usage string, field func(*Config) *int) setting {
	return setting{name: name, set: set, bind: func(fs *pflag.FlagSet, c *Config) {
		fs.IntVar(field(c), name, *field(c), usage)
	}}
}

func secret(set Set, name string, field func(*Config) *string) setting {
	return setting{name: name, set: set, secret: true, text: field}
}

func settings() []setting {
	return slices.Concat(connectionSettings(), serviceSettings(), gatewaySettings())
}

func connectionSettings() []setting {
	return []setting{
		{name: "brokers", set: Kafka, bind: func(fs *pflag.FlagSet, c *Config) {
			fs.StringSliceVar(&c.Brokers, "brokers", c.Brokers, "brokers to ask first, as host:port[,host:port...]")
		}},
		flag(Kafka, "tls", "connect to the brokers with TLS", func(c *Config) *bool { return &c.TLS }),
		text(Kafka, "tls-ca", "`file` with the authorities to trust instead of the system's, PEM", func(c *Config) *string { return &c.TLSCA }),
		text(Kafka, "tls-cert", "`file` with the client certificate, PEM; read again at each connection", func(c *Config) *string { return &c.TLSCert }),
		text(Kafka, "tls-key", "`file` with the key of --tls-cert, PEM", func(c *Config) *string { return &c.TLSKey }),
		text(Kafka, "tls-server-name", "`name` that the brokers' certificate must carry, if not their host name", func(c *Config) *string { return &c.TLSServerName }),
		text(Kafka, "sasl", "log in at the brokers by this SASL `mechanism`: plain, scram-sha-256 or scram-sha-512", func(c *Config) *string { return &c.SASL }),
		text(Kafka, "sasl-user", "user `name` at the brokers", func(c *Config) *string { return &c.SASLUser }),
		secret(Kafka, "sasl-password", func(c *Config) *string { return &c.SASLPassword }),
		text(Kafka, "sasl-password-file", "`file` with the password at the brokers, read again at each connection; or set UTOPIA_SASL_PASSWORD", func(c *Config) *string { return &c.SASLPasswordFile }),
		text(Registry, "registry", "schema registry's `URL` (Confluent API)", func(c *Config) *string { return &c.Registry }),
		text(Registry, "registry-user", "user `name` at the schema registry", func(c *Config) *string { return &c.RegistryUser }),
		secret(Registry, "registry-password", func(c *Config) *string { return &c.RegistryPassword }),
		text(Registry, "registry-password-file", "`file` with the password at the schema registry; or set UTOPIA_REGISTRY_PASSWORD", func(c *Config) *string { return &c.RegistryPasswordFile }),
		text(Log, "log-format", "log as text or json", func(c *Config) *string { return &c.LogFormat }),
		text(Log, "log-level", "log from this `level` up: debug, info, warn or error", func(c *Config) *string { return &c.LogLevel }),
		text(Links, "link-keys", "`file` with the keys that sign confirmation links, newest first", func(c *Config) *string { return &c.LinkKeys }),
		text(WebhookKeys, "webhook-keys", "`file` with the keys that the secrets of webhooks are derived from, newest first; a line stays as long as a webhook names it", func(c *Config) *string { return &c.WebhookKeys }),
	}
}

func serviceSettings() []setting {
	return []setting{
		text(Service|Gateway, "state-dir", "`directory` for the local state; one per instance, kept between starts", func(c *Config) *string { return &c.StateDir }),
		text(Service, "instance", "`name` of this instance, the same at each start; default: one made and kept in --state-dir", func(c *Config) *string { return &c.Instance }),
		duration(Service, "restart-within", "keep the partitions for this long after a stop, for a rolling restart; 0 hands them over at once", func(c *Config) *time.Duration { return &c.RestartWithin }),
		duration(Service, "commit-interval", "longest time that a transaction stays open while input is waiting", func(c *Config) *time.Duration { return &c.CommitInterval }),
		flag(Service, "recover-ahead", "read the whole table before joining the group: no partition waits for this instance, which then holds all of them", func(c *Config) *bool { return &c.RecoverAhead }),
		flag(Service, "hot-standby", "keep copies of the partitions that other instances have, to take them over at once: the disk and traffic of the whole table", func(c *Config) *bool { return &c.HotStandby }),
		text(Service|Gateway, "http", "`address` for /livez, /readyz and /metrics; empty for none", func(c *Config) *string { return &c.HTTP }),
		flag(Service, "dev", "for development: an unreplicated cluster is told, not refused", func(c *Config) *bool { return &c.Dev }),
		text(Webhook, "api-url", "where receivers of webhooks read back: the `URL` of the gateway", func(c *Config) *string { return &c.APIURL }),
		flag(Webhook|Gateway, "webhook-loopback", "for development: webhooks may have http URLs and loopback addresses", func(c *Config) *bool { return &c.WebhookLoopback }),
		text(Query, "query-listen", "`address` that the query side of timelines is served on, to gateways; empty for none", func(c *Config) *string { return &c.QueryListen }),
		text(Query, "query-cert", "`file` with the certificate to serve the query side with TLS, PEM; read again at each connection", func(c *Config) *string { return &c.QueryCert }),
		text(Query, "query-key", "`file` with the key of --query-cert, PEM", func(c *Config) *string { return &c.QueryKey }),
		{name: "customer-query", set: Gateway, bind: func(fs *pflag.FlagSet, c *Config) {
			fs.StringSliceVar(&c.CustomerQuery, "customer-query", nil, "`URLs` of query sides of the customer service (--query-listen), for timelines; none: timelines have what is public")
		}},
		secret(Query|Gateway, "customer-query-key", func(c *Config) *string { return &c.CustomerQueryKey }),
		text(Query|Gateway, "customer-query-key-file", "`file` with the word that gateways show to the query side; or set UTOPIA_CUSTOMER_QUERY_KEY", func(c *Config) *string { return &c.CustomerQueryKeyFile }),
		text(Mail, "smtp", "`host:port` of the mail server", func(c *Config) *string { return &c.SMTP }),
		text(Mail, "smtp-user", "user `name` at the mail server", func(c *Config) *string { return &c.SMTPUser }),
		secret(Mail, "smtp-password", func(c *Config) *string { return &c.SMTPPassword }),
		text(Mail, "smtp-password-file", "`file` with the password at the mail server; or set UTOPIA_SMTP_PASSWORD", func(c *Config) *string { return &c.SMTPPasswordFile }),
		text(Mail, "smtp-tls", "`how` to protect the connection: starttls, tls or none", func(c *Config) *string { return &c.SMTPTLS }),
		text(Mail, "mail-from", "`address` that mails are sent from", func(c *Config) *string { return &c.MailFrom }),
		text(Mail, "mail-dir", "write mails to files in this `directory` instead of sending them; - prints them, live links included", func(c *Config) *string { return &c.MailDir }),
		text(Mail, "base-url", "where links in mails lead: the `URL` of the page that confirms", func(c *Config) *string { return &c.BaseURL }),
	}
}

func gatewaySettings() []setting {
	return []setting{
		text(Gateway, "listen", "`address` that the API is served on", func(c *Config) *string { return &c.Listen }),
		text(Gateway, "listen-cert", "`file` with the certificate to serve with TLS, PEM; read again at each connection", func(c *Config) *string { return &c.ListenCert }),
		text(Gateway, "listen-key", "`file` with the key of --listen-cert, PEM", func(c *Config) *string { return &c.ListenKey }),
		text(Gateway, "api-keys", "`file` with the hashes of API keys: gateway new-api-key", func(c *Config) *string { return &c.APIKeys }),
		text(Gateway, "oidc-issuer", "OpenID Connect issuer's `URL`: its tokens (JWT) are taken", func(c *Config) *string { return &c.OIDCIssuer }),
		text(Gateway, "oidc-audience", "`audience` that tokens must be for", func(c *Config) *string { return &c.OIDCAudience }),
		flag(Gateway, "pages", "serve the pages, too, to those who log in at --oidc-issuer", func(c *Config) *bool { return &c.Pages }),
		text(Gateway, "pages-url", "the pages' own `URL`, as browsers see it, such as https://utopia.example; the issuer must allow URL/login/callback", func(c *Config) *string { return &c.PagesURL }),
		text(Gateway, "session-keys", "`file` with the keys that seal sessions, newest first, the same for all instances; mail new-link-key makes one, too", func(c *Config) *string { return &c.SessionKeys }),
		text(Gateway, "oidc-client-id", "`id` that the pages have at --oidc-issuer", func(c *Config) *string { return &c.OIDCClientID }),
		secret(Gateway, "oidc-client-secret", func(c *Config) *string { return &c.OIDCClientSecret }),
		text(Gateway, "oidc-client-secret-file", "`file` with the secret of --oidc-client-id; or set UTOPIA_OIDC_CLIENT_SECRET", func(c *Config) *string { return &c.OIDCClientSecretFile }),
		flag(Gateway, "open", "for development: nobody has to say who they are; loopback only", func(c *Config) *bool { return &c.Open }),
		number(Gateway, "rate", "requests a `second` of each caller, twice as many at once; 0: no limit", func(c *Config) *float64 { return &c.Rate }),
		number(Gateway, "public-rate", "confirmations a `second` from each address, ten times as many at once; 0: no limit", func(c *Config) *float64 { return &c.PublicRate }),
		count(Gateway, "max-streams", "`callers` that may be connected to the feed of changes at a time", func(c *Config) *int { return &c.MaxStreams }),
		count(Gateway, "max-streams-per-caller", "`streams` that each caller may have open", func(c *Config) *int { return &c.CallerStreams }),
		text(Gateway, "address-header", "`header` in which the proxy before this says where a request came from, such as X-Forwarded-For", func(c *Config) *string { return &c.AddressHeader }),
		duration(Gateway, "drain-delay", "how long to serve on after /readyz says 503, for the load balancer to see it", func(c *Config) *time.Duration { return &c.DrainDelay }),
	}
}

// Default returns the values that hold where nothing names a setting. A binary
// changes what is its own (the HTTP address) before Register.
func Default() *Config {
	return &Config{
		Brokers:        []string{DefaultBroker},
		Registry:       DefaultRegistry,
		CommitInterval: 50 * time.Millisecond,
		LogFormat:      "text",
		LogLevel:       "info",
		SMTPTLS:        "starttls",
		Listen:         "127.0.0.1:8090",
		Rate:           100,
		PublicRate:     1,
		MaxStreams:     2000,
		CallerStreams:  100,
		DrainDelay:     time.Second,
	}
}

// Register adds the flags of the given sets, and --config, to fs. The values in
// c become the defaults that --help shows.
func (c *Config) Register(fs *pflag.FlagSet, sets Set) {
	c.sets = sets
	fs.StringVar(&c.File, "config", c.File, "`file` with settings in YAML, spelled like the flags without dashes in front")
	for _, s := range settings() {
		if s.set&sets != 0 && s.bind != nil {
			s.bind(fs, c)
		}
	}
}

// Names returns the names of all settings of all groups, as the configuration
// file spells them.
func Names() []string {
	var names []string
	for _, s := range settings() {
		names = append(names, s.name)
	}
	return names
}
