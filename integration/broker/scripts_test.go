//go:build broker

package broker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/utopia/scripttest"
	"utopia/integration/live"
)

// runScripts types what the scripts of the command line type, but on this cluster and at the binaries. Among them is the
// whole flow of an address change, from the request through the link in the mail to everybody who must know.
func runScripts(t *testing.T, w *live.World) {
	t.Helper()
	system := scripttest.System{
		Produce: func(ctx context.Context, r *kgo.Record) error { return w.Client.ProduceSync(ctx, r).FirstErr() },
		Link: func(ctx context.Context, purpose, address string) (string, error) {
			return mailedLink(ctx, w, purpose, address)
		},
	}
	t.Run("every command", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "../../cmd/utopia/testdata/script/system", RequireExplicitExec: true, RequireUniqueNames: true, Cmds: system.Commands(),
			Setup: func(env *testscript.Env) error {
				env.Setenv("PATH", w.Bin+string(os.PathListSeparator)+env.Getenv("PATH"))
				env.Setenv("UTOPIA_BROKERS", w.Brokers)
				env.Setenv("UTOPIA_REGISTRY", w.Registry)
				env.Setenv("LINK_KEYS", filepath.Join(w.Dir, "link-keys"))
				env.Setenv("WEBHOOK_KEYS", filepath.Join(w.Dir, "webhook-keys"))
				env.Setenv("__FANG_TEST_WIDTH", "100")
				return nil
			},
		})
	})
}

// mailedLink waits for a mail that was delivered.
func mailedLink(ctx context.Context, w *live.World, purpose, address string) (string, error) {
	for {
		if found := live.NewestLink(filepath.Join(w.Dir, "mails"), purpose, address); found != "" {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no mail to %s with a link to %s: %w", address, purpose, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
