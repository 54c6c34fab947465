package main

import (
	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/run"
	"utopia/processors/eos"
)

func (a *app) stateCommand() *cobra.Command {
	return cli.Group("state", "The local state of a processor instance",
		"Local state is a copy of the group's changelog and can always be made again from it.", a.stateResetCommand())
}

func (a *app) stateResetCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "reset", Short: "Remove the local tables of a stopped instance; it reads them again from the log",
		Long: `Removes the tables in a state directory, not the instance's name. The next start reads
the changelog from its beginning. Refused while an instance runs on the directory.`,
		Example: "utopia state reset --state-dir /var/lib/utopia/customer",
		Args:    cli.Args(),
	}
	cmd.Flags().StringVar(&dir, "state-dir", "", "the instance's state `directory`")
	cmd.RunE = func(*cobra.Command, []string) error {
		if dir == "" {
			return run.Usagef("name the directory: --state-dir")
		}
		if err := eos.ResetState(dir); err != nil {
			return err
		}
		line(a.stdout, "%s: tables removed; the next start reads them again", dir)
		return nil
	}
	return cmd
}
