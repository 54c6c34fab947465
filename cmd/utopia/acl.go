package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/acl"
	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/processors/kafkaclient"
)

func (a *app) aclCommand() *cobra.Command {
	return cli.Group("acl", "What each binary may do on a cluster, and no more",
		`Each binary has a file with the rights that it needs (cmd/<binary>/rights.acl); those of
producers, consumers, systems of record and operators are in cmd/utopia/outsiders.acl. They
follow from the catalogue of topics. Nobody but its owner gets to read a private topic.`,
		a.aclListCommand(), a.aclApplyCommand())
}

// rightsOf is one principal as -o json shows it.
type rightsOf struct {
	Principal string        `json:"principal"`
	Rights    []rightOfJSON `json:"rights"`
}

type rightOfJSON struct {
	Operation string `json:"operation"`
	Resource  string `json:"resource"`
	Name      string `json:"name"`
	Prefix    bool   `json:"prefix"`
	Why       string `json:"why"`
}

func (a *app) aclListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [WHO...]", Short: "Show the rights that a binary or an outsider needs, as a file that apply reads",
		Long: `Shows what each needs and why: the binaries customer, billing, mail, notification, webhook and gateway,
and the outsiders crm, producers, consumers and operators. Asks no cluster. READ and WRITE
imply DESCRIBE. A name that ends with * is the beginning of a name.`,
		Example:   "utopia acl list customer\nutopia acl list producers --principal User:webshop > webshop.acl",
		Args:      cli.Args("[WHO...]"),
		ValidArgs: acl.Names(),
	}
	out := output(cmd)
	principal := cmd.Flags().String("principal", "", "the principal that one of them logs in as; default User:WHO")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = acl.Names()
		}
		if *principal != "" && len(args) != 1 {
			return run.Usage(errors.New("--principal is for one WHO"))
		}
		var files []acl.File
		for _, name := range args {
			if !slices.Contains(acl.Names(), name) {
				return run.Usage(fmt.Errorf("%q is none of %s", name, strings.Join(acl.Names(), ", ")))
			}
			f := acl.File{Principal: acl.DefaultPrincipal(name), Rights: acl.Of(name)}
			if *principal != "" {
				f.Principal = *principal
			}
			files = append(files, f)
		}
		var err error
		printed := out.print(a.stdout, forJSON(files), func() {
			for _, f := range files {
				err = errors.Join(err, f.Print(a.stdout))
			}
		})
		return errors.Join(printed, err)
	}
	return cmd
}

func forJSON(files []acl.File) []rightsOf {
	var all []rightsOf
	for _, f := range files {
		one := rightsOf{Principal: f.Principal}
		for _, r := range f.Rights {
			one.Rights = append(one.Rights, rightOfJSON{r.Operation.String(), r.Resource.String(), r.Name, r.Prefix, r.Why})
		}
		all = append(all, one)
	}
	return all
}

func (a *app) aclApplyCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "apply FILE...", Short: "Grant the rights that files name and the cluster does not grant yet",
		Long: `Grants what is missing, from any host, and prints it. It never takes a right away. Change
the line "principal User:customer" of a file if the binary logs in by another name. It
needs a principal that may describe and alter the cluster.`,
		Example: "utopia acl apply cmd/customer/rights.acl --brokers kafka-1:9092\nutopia acl apply webshop.acl --dry-run",
		Args:    cli.Args("FILE..."),
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only print what would be granted")
	read := func(args []string) error { _, err := readRights(args); return run.Usage(err) }
	return a.connected(cmd, config.Kafka, read, func(ctx context.Context, s *session, args []string) error {
		files, err := readRights(args)
		if err != nil {
			return err
		}
		cl, err := kafkaclient.New(ctx, s.opts...)
		if err != nil {
			return err
		}
		defer cl.Close()
		granted, there := 0, 0
		for _, f := range files {
			missing, err := acl.Missing(ctx, cl, f)
			if err != nil {
				return err
			}
			for _, r := range missing {
				line(a.stdout, "+ %s %s", f.Principal, r)
			}
			if !dry {
				if err := acl.Grant(ctx, cl, f.Principal, missing); err != nil {
					return err
				}
			}
			granted, there = granted+len(missing), there+len(f.Rights)-len(missing)
		}
		verb := "granted"
		if dry {
			verb = "to grant"
		}
		line(a.stdout, "%d %s, %d there already", granted, verb, there)
		return nil
	})
}

// readRights reads all files before anything is granted.
func readRights(paths []string) ([]acl.File, error) {
	var all []acl.File
	for _, path := range paths {
		in, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		files, err := acl.Parse(in)
		_ = in.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, files...)
	}
	return all, nil
}
