package main

import (
	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	return cli.Group("config", "The effective configuration and where it comes from",
		"", a.configCheckCommand())
}

func (a *app) configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration and print it, secrets masked; connects nothing",
		Long: `Prints every connection setting with its value and origin. A flag wins over an
environment variable, which wins over the file named by --config, which wins over the
default. --tls-ca, UTOPIA_TLS_CA, and tls-ca in the file are one setting. Passwords
have no flag, because flags show in the list of processes: use the -file flags or
UTOPIA_SASL_PASSWORD and UTOPIA_REGISTRY_PASSWORD.

Exits 2 and names the setting if something is wrong.`,
		Example: `utopia config check
utopia config check --config utopia.yaml --tls --sasl scram-sha-512`,
		Args: cli.Args(),
	}
	cfg := a.configured(cmd, config.Kafka|config.Registry|config.Links)
	for _, name := range config.Names() {
		if f := cmd.Flags().Lookup(name); f != nil {
			f.Hidden = false
		}
	}
	out := output(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cfg.Load(cmd.Flags(), a.environ); err != nil {
			return err
		}
		items := cfg.Effective(cmd.Flags())
		err := out.print(a.stdout, items, func() {
			var rows [][]string
			for _, i := range items {
				rows = append(rows, []string{i.Setting, i.Value, i.From})
			}
			table(a.stdout, []string{"SETTING", "VALUE", "FROM"}, rows)
		})
		for _, name := range cfg.Ignored() {
			line(a.stderr, "%s names no setting and is ignored", name)
		}
		return err
	}
	return cmd
}
