// Package service is the body of every deployable processor binary: its command
// line (run, config check, version), its client, schema ids, metrics and health
// around one processor group.
//
// It deliberately decides nothing: which group runs, and what else, is told to it
// by a Spec.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/plugin/kslog"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/metrics"
	"utopia/cmd/internal/run"
	"utopia/processors"
	"utopia/processors/eos"
	"utopia/schemas"
	"utopia/topics"
)

// Spec says what a binary is.
type Spec struct {
	Group string // the processor group, and the name of the binary
	Short string
	HTTP  string // default listen address of health and metrics
	Sets  config.Set
	// New makes the processor; nil for a binary that has none, whose parts are those of More.
	New func(processors.Options) (*eos.Processor, error)
	// About is the help of run; empty for what is true of a processor.
	About string
	// More returns further parts to run beside the processor; nil for none.
	More func(*Env) ([]run.Part, error)
	// Commands are further subcommands; they get their flags from Env.Config.
	Commands []func(Spec, Streams) *cobra.Command
}

// Streams are where a command line writes, and its environment.
type Streams struct {
	Stdout, Stderr io.Writer
	Environ        []string
}

// Env is what a running binary has.
type Env struct {
	Config  *config.Config
	Log     *slog.Logger
	Client  []kgo.Opt
	IDs     *schemas.Registry
	Metrics *metrics.Metrics
	Stdout  io.Writer // of the running binary
}

// Run returns the run function of a binary.
func Run(s Spec) func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		io := Streams{Stdout: stdout, Stderr: stderr, Environ: os.Environ()}
		return cli.Execute(ctx, Command(s, io), args, stdout, stderr) //nolint:contextcheck // cobra hands ctx on
	}
}

// Command builds the command tree of a binary.
func Command(s Spec, io Streams) *cobra.Command {
	root := &cobra.Command{
		Use: s.Group, Short: s.Short,
		Long: s.Short + `

It needs a Kafka cluster with the topics of 'utopia topics apply', a schema registry with
the schemas of 'utopia schemas register', and a directory for local state. Every flag is
also an environment variable (--state-dir is UTOPIA_STATE_DIR) and a line of the file
named by --config; a flag wins over the environment, which wins over the file.`,
		Example: s.Group + " run --brokers kafka-1:9092,kafka-2:9092 \\\n" +
			"  --registry http://registry:8081 --state-dir /var/lib/utopia/" + s.Group + "\n" +
			s.Group + " config check --config utopia.yaml",
	}
	root.AddCommand(runCommand(s, io), cli.Group("config", "The effective configuration and where it comes from", "", checkCommand(s, io)), versionCommand(s, io))
	for _, more := range s.Commands {
		root.AddCommand(more(s, io))
	}
	return root
}

// Register adds the flags of the given sets to cmd, with the binary's defaults.
func (s Spec) Register(cmd *cobra.Command, sets config.Set) *config.Config {
	cfg := config.Default()
	cfg.HTTP = s.HTTP
	cfg.Register(cmd.Flags(), sets)
	return cfg
}

// sets are the settings of the binary: those of every processor, and its own.
func (s Spec) sets() config.Set {
	if s.New == nil {
		return config.Kafka | config.Registry | config.Log | s.Sets
	}
	return config.Kafka | config.Registry | config.Service | config.Log | s.Sets
}

func runCommand(s Spec, io Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Run the service until it is told to stop",
		Long: `Runs until SIGTERM or SIGINT: then it finishes the transaction at hand, leaves the group
and ends with exit code 0 within five seconds. A cluster or registry that is down at the
start is waited for. --http answers /livez, /readyz (ready: the tables have caught up) and
/metrics.`,
		Example: s.Group + " run --state-dir /var/lib/utopia/" + s.Group,
		Args:    cli.Args(),
	}
	if s.About != "" {
		cmd.Long = s.About
	}
	cfg := s.Register(cmd, s.sets())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cfg.Load(cmd.Flags(), io.Environ); err != nil {
			return err
		}
		log := cfg.Logger(io.Stderr).With(slog.String("service", s.Group))
		for _, name := range cfg.Ignored() {
			log.Warn("this variable names no setting and is ignored", slog.String("variable", name))
		}
		return s.serve(cmd.Context(), cfg, log, io.Stdout)
	}
	return cmd
}

func checkCommand(s Spec, io Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration and print it, secrets masked; connects nothing",
		Example: s.Group + " config check --config utopia.yaml", Args: cli.Args(),
	}
	cfg := s.Register(cmd, s.sets())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cfg.Load(cmd.Flags(), io.Environ); err != nil {
			return err
		}
		for _, name := range cfg.Ignored() {
			_, _ = fmt.Fprintf(io.Stderr, "%s names no setting and is ignored\n", name)
		}
		return config.WriteItems(io.Stdout, cfg.Effective(cmd.Flags()))
	}
	return cmd
}

func versionCommand(s Spec, io Streams) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this build", Args: cli.Args(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(io.Stdout, s.Group, run.Version())
			return err
		},
	}
}

// Open makes client options and schema ids from a loaded configuration. Nothing
// connects yet. A state directory, if there is one, keeps what the registry said.
func Open(s Spec, cfg *config.Config, log *slog.Logger) (*Env, error) {
	e := &Env{Config: cfg, Log: log, Metrics: metrics.New()}
	var err error
	if e.Client, err = cfg.Options(s.Group); err != nil {
		return nil, err
	}
	e.Client = append(e.Client,
		kgo.ProducerBatchMaxBytes(topics.BatchBytes), kgo.WithHooks(e.Metrics.Hook()), kgo.WithLogger(kslog.New(warnings(log, cfg.LogLevel))))
	user, password, err := cfg.RegistryLogin()
	if err != nil {
		return nil, fmt.Errorf("--registry-password-file: %w", err)
	}
	rc := schemas.RegistryConfig{URLs: []string{cfg.Registry}, Patience: registryPatience}
	if user != "" {
		rc.Options = append(rc.Options, sr.BasicAuth(user, password))
	}
	if cfg.StateDir != "" {
		if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
			return nil, fmt.Errorf("--state-dir: %w", err)
		}
		rc.CacheFile = filepath.Join(cfg.StateDir, "schemas.json")
	}
	e.IDs, err = schemas.NewRegistry(rc)
	return e, err
}

// registryPatience is how long the transaction loop stands still for an id that the registry does not answer at once. The record's partition then waits
// without the loop.
const registryPatience = 250 * time.Millisecond

// warnings keeps the client's own chatter out of the log, unless the level is
// debug; it logs every reconnect at level info.
func warnings(log *slog.Logger, level string) *slog.Logger {
	if level == "debug" {
		return log
	}
	return slog.New(leveled{log.Handler()})
}

// leveled passes on records from level warn up.
type leveled struct{ slog.Handler }

// Enabled implements slog.Handler.
func (l leveled) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (s Spec) serve(ctx context.Context, cfg *config.Config, log *slog.Logger, stdout io.Writer) error {
	e, err := Open(s, cfg, log)
	if err != nil {
		return err
	}
	e.Stdout = stdout
	var more []run.Part
	if s.More != nil { // before anything connects: it may find a wrong setting
		if more, err = s.More(e); err != nil {
			return err
		}
	}
	log.Info("starting", slog.String("version", run.Version()), slog.Any("brokers", cfg.Brokers), slog.String("state_dir", cfg.StateDir))
	if err := waitForSchemas(ctx, s.Group, e.IDs, cfg.Registry, log); err != nil || ctx.Err() != nil {
		return err // or told to stop before there was anything to finish
	}
	if err := waitForRights(ctx, s.Group, e.Client, log); err != nil || ctx.Err() != nil {
		return err
	}
	server := &run.Server{Log: log, HTTP: cfg.HTTP, Metrics: e.Metrics.Handler(), Client: e.Client}
	if s.New == nil {
		return server.Serve(ctx, more...)
	}
	hooks, counters := e.Metrics.Group(s.Group)
	hooks.At = run.KillPoint()
	p, err := s.New(processors.Options{
		IDs: e.IDs, Counters: counters,
		Engine: eos.Config{
			Client: e.Client, Dir: cfg.StateDir, Instance: cfg.Instance, RestartWithin: cfg.RestartWithin, Dev: cfg.Dev,
			CommitInterval: cfg.CommitInterval, RecoverAhead: cfg.RecoverAhead, HotStandby: cfg.HotStandby, Logger: log, Hooks: hooks,
		},
	})
	if err != nil {
		return err
	}
	parts := append([]run.Part{{Name: s.Group + " processor", Run: p.Run, Ready: ready(p)}}, more...)
	return server.Serve(ctx, parts...)
}

// ready says how far the recovery of the tables is.
func ready(p *eos.Processor) func() error {
	return func() error {
		if p.Ready() {
			return nil
		}
		if at := p.Progress(); at.Of > 0 {
			return fmt.Errorf("recovering: read %d of %d records of the changelog", at.Records, at.Of)
		}
		return errors.New("waiting for partitions")
	}
}

// waitForSchemas looks up every schema that the group writes, so that nothing
// can fail for want of an id later. A registry that is down is waited for, unless
// an earlier start has kept what it said; a schema that it lacks is an error that
// says what to do. It returns nil when ctx ends.
func waitForSchemas(ctx context.Context, group string, ids schemas.IDs, url string, log *slog.Logger) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 200*time.Millisecond, 10*time.Second
	for {
		err := lookUp(group, ids)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, schemas.ErrUnknownID):
			return fmt.Errorf("the registry at %s lacks a schema of this release; run \"utopia schemas register\": %w", url, err)
		case !errors.Is(err, schemas.ErrRegistryDown):
			return err
		}
		wait := pause.NextBackOff()
		log.Warn("the schema registry does not answer; trying again", slog.String("registry", url), slog.Any("error", err), slog.Duration("next_in", wait.Round(time.Millisecond)))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func lookUp(group string, ids schemas.IDs) error {
	for _, t := range topics.All() {
		if t.Private() || t.Kind == topics.DeadLetters || !slices.Contains(t.Writers, group) {
			continue
		}
		codec, err := schemas.NewCodec(t.Name, ids)
		if err != nil {
			return err
		}
		if err := codec.Lookup(); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return nil
}
