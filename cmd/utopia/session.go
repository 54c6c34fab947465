package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/config"
	"utopia/processors/kafkaclient"
)

// session is one command's connection to the cluster.
type session struct {
	*app
	cfg  *config.Config
	opts []kgo.Opt
	log  *slog.Logger
}

// connectWithin is how long a command waits for the first answer of a broker.
const connectWithin = 10 * time.Second

// visible are the connection flags that every command's help shows; the others
// are listed by `utopia config check --help`.
func visible(name string) bool {
	return name == "brokers" || name == "registry" || name == "config" || name == "link-keys" || name == "webhook-keys"
}

// connected makes cmd a command that talks to the cluster: it gets the flags of
// sets. check, which may be nil, looks at flags and arguments before anything
// connects; then f runs with a broker that answered.
func (a *app) connected(
	cmd *cobra.Command, sets config.Set, check func(args []string) error, f func(ctx context.Context, s *session, args []string) error,
) *cobra.Command {
	cfg := a.configured(cmd, sets|config.Kafka)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if check != nil {
			if err := check(args); err != nil {
				return err
			}
		}
		s, err := a.open(cmd, cfg)
		if err != nil {
			return err
		}
		if err := s.reach(cmd.Context()); err != nil {
			return err
		}
		return f(cmd.Context(), s, args)
	}
	return cmd
}

// configured registers the flags of sets on cmd and hides the rare ones.
func (a *app) configured(cmd *cobra.Command, sets config.Set) *config.Config {
	cfg := config.Default()
	cfg.LogLevel = "warn"
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	cfg.Register(fs, sets|config.Log)
	fs.VisitAll(func(f *pflag.Flag) { f.Hidden = !visible(f.Name) })
	cmd.Flags().AddFlagSet(fs)
	return cfg
}

// open loads the configuration and makes the client options. It connects
// nothing.
func (a *app) open(cmd *cobra.Command, cfg *config.Config) (*session, error) {
	if err := cfg.Load(cmd.Flags(), a.environ); err != nil {
		return nil, err
	}
	opts, err := cfg.Options("cli")
	if err != nil {
		return nil, err
	}
	return &session{app: a, cfg: cfg, opts: opts, log: cfg.Logger(a.stderr)}, nil
}

// reach asks for one answer of a broker, so that a cluster that is down, or a
// wrong password, is one clear sentence and not a silence.
func (s *session) reach(ctx context.Context) error {
	cl, err := kafkaclient.New(ctx, s.opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("not within %s", connectWithin)
		}
		return fmt.Errorf("no broker answers at %s (utopia up starts one; --brokers names others): %w", strings.Join(s.cfg.Brokers, ","), err)
	}
	return nil
}

// admin calls f with an admin client.
func (s *session) admin(ctx context.Context, f func(*kadm.Client) error) error {
	cl, err := kafkaclient.New(ctx, s.opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return f(kadm.NewClient(cl.Client))
}
