package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"utopia/cmd/internal/config"
)

// meant adds to an unknown flag which one was probably meant, or whose flag it
// is: people leave the subcommand out, and misspell.
func meant(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	}
	name := unknown.GetSpecifiedName()
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := config.Nearest(name, known); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	if owners := with(cmd, name); len(owners) > 0 {
		return fmt.Errorf("%w of %q; it is one of: %s", err, cmd.CommandPath(), strings.Join(owners, ", "))
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// with names the commands directly below cmd that have a flag.
func with(cmd *cobra.Command, flag string) []string {
	var owners []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Flags().Lookup(flag) != nil {
			owners = append(owners, sub.CommandPath())
		}
	}
	return owners
}
