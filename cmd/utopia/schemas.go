package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/schemas"
)

func (a *app) schemasCommand() *cobra.Command {
	return cli.Group("schemas", "The Avro schemas of all records, and the registry that has them",
		`One schema per record type and revision, all embedded in this program. Processors look
ids up in the registry and never register: 'register' does, once per release, before
the release is deployed.`,
		a.schemasListCommand(), a.schemasShowCommand(), a.schemasCheckCommand(), a.schemasRegisterCommand())
}

// revision is one schema as -o json shows it.
type revision struct {
	Topic         string `json:"topic"`
	Record        string `json:"record"`
	Revision      int    `json:"revision"`
	Subject       string `json:"subject,omitempty"` // none for a private record
	Compatibility string `json:"compatibility"`
}

func viewRevision(r schemas.Revision) revision {
	v := revision{Topic: r.Topic, Record: r.Record, Revision: r.Number, Compatibility: string(schemas.ModeOf(r.Record))}
	if !r.Private() {
		v.Subject = r.Subject()
	}
	return v
}

func (a *app) schemasListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [TOPIC]", Short: "List record types and their revisions",
		Example: "utopia schemas list\nutopia schemas list customer.state.v1 -o json",
		Args:    cli.Args("[TOPIC]"), ValidArgsFunction: completeRecordTopics(),
	}
	out := output(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		list := []revision{}
		for _, r := range schemas.Revisions(first(args)) {
			list = append(list, viewRevision(r))
		}
		if len(list) == 0 {
			return run.Usagef("%q has no schemas; see utopia topics list", first(args))
		}
		return out.print(a.stdout, list, func() {
			var rows [][]string
			for _, r := range list {
				rows = append(rows, []string{r.Topic, r.Record, number(r.Revision), r.Compatibility})
			}
			table(a.stdout, []string{"TOPIC", "RECORD", "REVISION", "PROMISE"}, rows)
		})
	}
	return cmd
}

func (a *app) schemasShowCommand() *cobra.Command {
	var number int
	cmd := &cobra.Command{
		Use: "show RECORD", Short: "Print a schema, to give to a program in another language",
		Example: "utopia schemas show utopia.customer.ChangeEmail > ChangeEmail.avsc",
		Args:    cli.Args("RECORD"), ValidArgsFunction: completeRecords,
	}
	cmd.Flags().IntVar(&number, "revision", 0, "an earlier revision; default: the newest")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		var found *schemas.Revision
		for _, r := range schemas.Revisions("") {
			if r.Record == args[0] && (number == 0 || r.Number == number) {
				found = &r
			}
		}
		if found == nil {
			return run.Usagef("there is no such schema: %s; see utopia schemas list", args[0])
		}
		_, err := io.WriteString(a.stdout, strings.TrimRight(found.Schema, "\n")+"\n")
		return err
	}
	return cmd
}

func completeRecords(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []string
	for _, r := range schemas.Revisions("") {
		names = append(names, r.Record)
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// problem is one thing that `schemas check` found.
type problem struct {
	Subject string `json:"subject"`
	Problem string `json:"problem"`
}

func (a *app) schemasCheckCommand() *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use: "check", Short: "Exit 1 if a revision breaks its promise or the registry lacks one",
		Long: `Checks every embedded revision against all earlier ones by the promise of its record
(FULL_TRANSITIVE where others read it, BACKWARD_TRANSITIVE where only we do), and that
the registry has every schema that is not private.`,
		Example: "utopia schemas check\nutopia schemas check --offline",
		Args:    cli.Args(),
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "ask no registry")
	out := output(cmd)
	cfg := a.configured(cmd, config.Registry)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cfg.Load(cmd.Flags(), a.environ); err != nil {
			return err
		}
		found := promises()
		if !offline {
			missing, err := a.unregistered(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			found = append(found, missing...)
		}
		err := out.print(a.stdout, found, func() {
			for _, p := range found {
				line(a.stdout, "%s: %s", red(p.Subject), p.Problem)
			}
			if len(found) == 0 {
				line(a.stdout, "%d schemas keep their promises", len(schemas.Revisions("")))
			}
		})
		if err == nil && len(found) > 0 {
			return run.Quiet(errors.New("schemas have problems"))
		}
		return err
	}
	return cmd
}

// promises checks the embedded revisions against their earlier ones.
func promises() []problem {
	found := []problem{}
	earlier := map[string][]string{}
	for _, r := range schemas.Revisions("") {
		name := r.Topic + "/" + r.Record
		if err := schemas.CheckCompatibility(schemas.ModeOf(r.Record), r.Schema, earlier[name]...); err != nil {
			found = append(found, problem{Subject: name, Problem: fmt.Sprintf("revision %d: %v", r.Number, err)})
		}
		earlier[name] = append(earlier[name], r.Schema)
	}
	return found
}

// unregistered returns what the registry lacks.
func (a *app) unregistered(ctx context.Context, cfg *config.Config) ([]problem, error) {
	registry, err := openRegistry(cfg)
	if err != nil {
		return nil, err
	}
	var found []problem
	for _, r := range schemas.Revisions("") {
		if r.Private() {
			continue
		}
		_, err := registry.Lookup(ctx, r)
		switch {
		case errors.Is(err, schemas.ErrUnknownID):
			found = append(found, problem{Subject: r.Subject(), Problem: fmt.Sprintf("revision %d is not registered; utopia schemas register does it", r.Number)})
		case err != nil:
			return nil, fmt.Errorf("%s: %w", cfg.Registry, err)
		}
	}
	return found, nil
}

func (a *app) schemasRegisterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "register", Short: "Put every schema that is not private into the registry",
		Long: `Registers every revision that the registry lacks, oldest first, each subject with the
compatibility of its promise. Does nothing where nothing is missing.`,
		Example: "utopia schemas register --registry http://registry:8081",
		Args:    cli.Args(),
	}
	out := output(cmd)
	cfg := a.configured(cmd, config.Registry)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := cfg.Load(cmd.Flags(), a.environ); err != nil {
			return err
		}
		registry, err := openRegistry(cfg)
		if err != nil {
			return err
		}
		done, err := registry.Register(cmd.Context())
		if err != nil {
			return fmt.Errorf("%s: %w", cfg.Registry, err)
		}
		type registered struct {
			Subject  string `json:"subject"`
			Revision int    `json:"revision"`
			ID       int    `json:"id"`
			New      bool   `json:"new"`
		}
		list, added := []registered{}, 0
		for _, d := range done {
			list = append(list, registered{Subject: d.Revision.Subject(), Revision: d.Revision.Number, ID: d.ID, New: d.New})
			if d.New {
				added++
			}
		}
		return out.print(a.stdout, list, func() {
			for _, r := range list {
				if r.New {
					line(a.stdout, "%s revision %d: id %d", r.Subject, r.Revision, r.ID)
				}
			}
			line(a.stdout, "%d registered, %d were there already", added, len(list)-added)
		})
	}
	return cmd
}
