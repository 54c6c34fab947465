package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/run"
)

func tree() *cobra.Command {
	root := &cobra.Command{Use: "tool", Short: "A tool"}
	leaf := &cobra.Command{
		Use: "show ID", Short: "Show it", Long: "One line\nand its end.\n\nAnother\n  list\n  list", Args: Args("ID", "[MORE...]"),
		RunE: func(_ *cobra.Command, args []string) error {
			switch args[0] {
			case "boom":
				return errors.New("it broke")
			case "hush":
				return run.Quiet(errors.New("said already"))
			default:
				return nil
			}
		},
	}
	leaf.Flags().String("to", "", "`where` to")
	root.AddCommand(Group("thing", "Things", "", leaf))
	return root
}

func TestErrorsAreOneLineAndHaveTheirExitCode(t *testing.T) {
	for line, want := range map[string]struct {
		code   int
		stderr string
	}{
		"thing show x":          {run.ExitOK, ""},
		"thing show x y z":      {run.ExitOK, ""},
		"thing show boom":       {run.ExitFailure, "tool: it broke\n"},
		"thing show hush":       {run.ExitFailure, ""},
		"thing show":            {run.ExitUsage, "tool: name ID; see tool thing show --help\n"},
		"thing shwo":            {run.ExitUsage, "tool: unknown command \"shwo\" for \"tool thing\"; did you mean show?\n"},
		"thing show x --form y": {run.ExitUsage, "tool: unknown flag: --form; see tool thing show --help\n"},
		"thing show x --too y":  {run.ExitUsage, "tool: unknown flag: --too; did you mean --to?\n"},
		"thing --to y":          {run.ExitUsage, "tool: unknown flag: --to of \"tool thing\"; it is one of: tool thing show\n"},
		"thing show x --to":     {run.ExitUsage, "tool: flag needs an argument: --to; see tool thing show --help\n"},
		"thin show":             {run.ExitUsage, "tool: unknown command \"thin\" for \"tool\"; did you mean thing?\n"},
		"zzzzzzzz":              {run.ExitUsage, "tool: unknown command \"zzzzzzzz\" for \"tool\"\n"},
	} {
		var stdout, stderr bytes.Buffer
		err := Execute(t.Context(), tree(), strings.Fields(line), &stdout, &stderr)
		if got := run.ExitCode(err); got != want.code || stderr.String() != want.stderr {
			t.Errorf("%s: exit %d, stderr %q", line, got, stderr.String())
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: stdout %q", line, stdout.String())
		}
	}
}

func TestHelpIsProseWithoutColoursInAPipe(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if err := Execute(t.Context(), tree(), []string{"thing", "show", "--help"}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	got := stdout.String()
	for _, want := range []string{"One line and its end.", "Another", "\n    list", "Where to"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.ContainsAny(got, "\x1b`") {
		t.Errorf("colour codes or back quotes in\n%q", got)
	}
}
