package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/cmd/internal/system"
	"utopia/cmd/internal/system/systemtest"
	"utopia/processors"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

func command(t *testing.T, s *system.System, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	args = append(args, "--brokers", s.Broker, "--registry", s.RegistryURL, "--log-level", "error")
	err := service.Run(spec())(t.Context(), args, &out, &errs)
	return run.ExitCode(err), out.String(), errs.String()
}

func TestRebuildComparesWhileTheServiceRunsAndReplacesOnlyWhenItDoesNot(t *testing.T) {
	s := systemtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := ask.New(ctx, ask.Config{Client: s.Client, IDs: s.IDs, Commands: topics.CustomerCommands, Replies: topics.CustomerReplies})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, id := range []string{"c-1", "c-2"} {
		reply, err := c.Ask(ctx, id, &schemas.RegisterCustomer{
			CustomerID: id, Name: "Ada", Email: "ada@example.org",
			Address: schemas.Address{Country: "NL", City: "Gouda", PostCode: "2801 EM", Street: "Markt 1"},
		})
		if err != nil || reply.Outcome != schemas.OutcomeAccepted {
			t.Fatal(reply, err)
		}
	}
	code, stdout, stderr := command(t, s, "rebuild", "--check")
	if code != run.ExitOK || stdout != "2 events of 2 customers, 2 rows, 2 as the events say, 0 not\n" || stderr != "" {
		t.Errorf("--check: exit %d, %q, %q", code, stdout, stderr)
	}
	code, _, stderr = command(t, s, "rebuild", "--apply")
	if code != run.ExitFailure || !strings.Contains(stderr, "an instance of the customer group is running") {
		t.Errorf("--apply: exit %d, %q", code, stderr)
	}
	for _, args := range [][]string{{"rebuild"}, {"rebuild", "--check", "--apply"}} {
		if code, _, stderr = command(t, s, args...); code != run.ExitUsage || !strings.Contains(stderr, "either --check or --apply") {
			t.Errorf("%v: exit %d, %q", args, code, stderr)
		}
	}
}

func TestRebuildSaysWhatItFoundAndDid(t *testing.T) {
	var out bytes.Buffer
	report(&out, &processors.RebuildReport{
		Events: 9, Customers: 3, Rows: 2, Same: 1, Replaced: 2, IDsFromEvents: 1,
		Findings: []processors.RebuildFinding{{Key: "c-1", What: processors.FoundDifferent}, {Key: "c-2", What: processors.FoundUnreadable}},
	}, true)
	want := "different   c-1\n" +
		"unreadable  c-2\n" +
		"9 events of 3 customers, 2 rows, 1 as the events say, 2 not\n" +
		"2 rows replaced\n" +
		"1 of them had no readable row: their handled command ids come from the events, and a refused command that is sent again may be decided anew\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}
