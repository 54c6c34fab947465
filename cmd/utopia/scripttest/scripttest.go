// Package scripttest has the commands of the command line's scripts, which are typed at a system in the test's own process and at
// binaries on a real cluster.
package scripttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Command is a command of a script.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// System is what the scripts are typed at.
type System struct {
	// Produce stores a record and waits for the acknowledgement.
	Produce func(ctx context.Context, r *kgo.Record) error
	// Link waits for the newest mail to an address with a link of the given purpose, as somebody who reads mail would.
	Link func(ctx context.Context, purpose, address string) (string, error)
}

// Commands are those of the scripts that need a system.
func (s System) Commands() map[string]Command {
	return map[string]Command{"exits": Exits, "value": value, "people": people, "raw": s.raw, "link": s.link}
}

// Exits runs a command and compares its exit code: exits CODE COMMAND ARGS...
func Exits(ts *testscript.TestScript, neg bool, args []string) {
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

// value puts the word behind a label of the last output into a variable: value NAME LABEL.
func value(ts *testscript.TestScript, _ bool, args []string) {
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

// people writes customers to import: people FILE N PREFIX.
func people(ts *testscript.TestScript, _ bool, args []string) {
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

// raw stores bytes as they are: raw TOPIC KEY VALUE.
func (s System) raw(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: raw TOPIC KEY VALUE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(s.Produce(ctx, &kgo.Record{Topic: args[0], Key: []byte(args[1]), Value: []byte(args[2])}))
}

// link puts the link of a mail into $LINK: link PURPOSE ADDRESS.
func (s System) link(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: link PURPOSE ADDRESS")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	found, err := s.Link(ctx, args[0], args[1])
	ts.Check(err)
	ts.Setenv("LINK", found)
}
