// Package cli is what the command lines of all binaries share: help that reads
// well, usage errors with exit code 2, and one way to print an error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/fang/v2"
	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"utopia/cmd/internal/run"
)

// Execute runs the command line args on root. Errors are printed on stderr
// before they are returned; those of the command line itself wrap run.ErrUsage.
func Execute(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) error {
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return run.Usage(meant(cmd, err)) })
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	tidy(root)
	root.SuggestionsMinimumDistance = 2
	err := fang.Execute(ctx, root, fang.WithoutManpage(), fang.WithVersion(run.Version()),
		fang.WithErrorHandler(func(w io.Writer, styles fang.Styles, err error) { printError(root.Name(), stderr, w, styles, err) }))
	return classify(err)
}

// printError is styled on a terminal, and one plain line elsewhere.
func printError(name string, stderr, styled io.Writer, styles fang.Styles, err error) {
	switch {
	case run.IsQuiet(err):
	case IsTerminal(stderr):
		fang.DefaultErrorHandler(styled, styles, err)
	default:
		_, _ = lipgloss.Fprintln(stderr, name+": "+sentence(err))
	}
}

// sentence makes one line of cobra's answer to a misspelt command.
func sentence(err error) string {
	text, near, ok := strings.Cut(err.Error(), "\n\nDid you mean this?\n\t")
	if !ok {
		return text
	}
	return text + "; did you mean " + strings.Join(strings.Fields(near), " or ") + "?"
}

// IsTerminal tells whether a person watches w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) //nolint:gosec // a file descriptor is small
}

// classify makes those errors of cobra usage errors that it gives no hook for.
func classify(err error) error {
	if err == nil || errors.Is(err, run.ErrUsage) {
		return err
	}
	for _, prefix := range []string{"unknown command", "required flag(s)", "accepts ", "requires "} {
		if strings.HasPrefix(err.Error(), prefix) {
			return run.Usage(err)
		}
	}
	return err
}

// Group makes a command that only has subcommands. Unlike cobra's own, it
// refuses a subcommand that does not exist.
func Group(use, short, long string, subcommands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			cmd.SuggestionsMinimumDistance = 2
			message := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				message += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return run.Usage(errors.New(message))
		},
	}
	c.AddCommand(subcommands...)
	return c
}

// Args checks the number of arguments and names those that are missing. A name
// in brackets may be missing; a last name that ends in "..." stands for any
// number from one up.
func Args(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, got []string) error {
		least, most := len(names), len(names)
		for _, n := range names {
			if strings.HasPrefix(n, "[") {
				least--
			}
			if strings.Contains(n, "...") {
				most = len(got)
			}
		}
		if len(got) < least {
			return run.Usagef("name %s; see %s --help", names[len(got)], cmd.CommandPath())
		}
		if len(got) > most {
			return run.Usagef("%q is one argument too many; see %s --help", got[most], cmd.CommandPath())
		}
		return nil
	}
}

// tidy prepares the texts of all commands for fang: paragraphs instead of lines,
// so that they fit every width, and no back quotes, which only cobra's own help
// takes away.
func tidy(c *cobra.Command) {
	c.Long = prose(c.Long)
	unquote := func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "`", "") }
	c.Flags().VisitAll(unquote)
	c.PersistentFlags().VisitAll(unquote)
	for _, sub := range c.Commands() {
		tidy(sub)
	}
}

// prose joins the lines of each paragraph; an empty line separates them. A line
// that begins with a space stays a line of its own.
func prose(s string) string {
	var b strings.Builder
	newParagraph := true
	for l := range strings.Lines(s) {
		l = strings.TrimRight(l, "\n")
		switch {
		case l == "":
			b.WriteString("\n\n")
			newParagraph = true
			continue
		case strings.HasPrefix(l, " "):
			b.WriteString("\n")
		case !newParagraph:
			b.WriteString(" ")
		}
		b.WriteString(l)
		newParagraph = false
	}
	return b.String()
}
