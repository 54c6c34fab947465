//go:build broker

package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/integration/live"
)

// runScripts types what the scripts of the command line type, but on this cluster and at the binaries. Among them is the
// whole flow of an address change, from the request through the link in the mail to everybody who must know.
func runScripts(t *testing.T, w *live.World) {
	t.Helper()
	t.Run("every command", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "../../cmd/utopia/testdata/script/system", RequireExplicitExec: true, RequireUniqueNames: true,
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"exits":  exits,
				"link":   func(ts *testscript.TestScript, _ bool, args []string) { takeLink(ts, w, args) },
				"raw":    func(ts *testscript.TestScript, _ bool, args []string) { produceRaw(ts, w, args) },
				"value":  takeValue,
				"people": writePeople,
			},
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

// exits runs a command and compares its exit code: exits CODE COMMAND ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// takeValue puts the word behind a label of the last output into a variable: value NAME LABEL.
func takeValue(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: value NAME LABEL")
	}
	for l := range strings.Lines(ts.ReadFile("stdout")) {
		if rest, ok := strings.CutPrefix(l, args[1]); ok {
			if words := strings.Fields(rest); len(words) > 0 {
				ts.Setenv(args[0], words[0])
				return
			}
		}
	}
	ts.Fatalf("no line begins with %q", args[1])
}

// writePeople writes customers to import: people FILE N PREFIX.
func writePeople(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: people FILE N PREFIX")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"%s-%04d","name":"Somebody","email":"%[2]d@%[1]s.example","address":{"country":"NL","city":"Gouda","postCode":"2801 JG","street":"Markt %[2]d"}}`+"\n", args[2], i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// produceRaw stores bytes as they are: raw TOPIC KEY VALUE.
func produceRaw(ts *testscript.TestScript, w *live.World, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: raw TOPIC KEY VALUE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(w.Client.ProduceSync(ctx, &kgo.Record{Topic: args[0], Key: []byte(args[1]), Value: []byte(args[2])}).FirstErr())
}

// takeLink waits for the newest mail to an address with a link of the given purpose, as somebody who reads mail would:
// link PURPOSE ADDRESS puts it into $LINK.
func takeLink(ts *testscript.TestScript, w *live.World, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: link PURPOSE ADDRESS")
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if link := live.NewestLink(filepath.Join(w.Dir, "mails"), args[0], args[1]); link != "" {
			ts.Setenv("LINK", link)
			return
		}
	}
	ts.Fatalf("no mail to %s with a link to %s", args[1], args[0])
}
