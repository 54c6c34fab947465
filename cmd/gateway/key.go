package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/gateway"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/topics"
)

// newKeyCommand makes API keys for --api-keys.
func newKeyCommand(_ service.Spec, io service.Streams) *cobra.Command {
	var name, role, customer string
	cmd := &cobra.Command{
		Use: "new-api-key", Short: "Make a key for a caller of the API",
		Long: `Prints a line for the file named by --api-keys on standard output, and the key itself, which
is kept nowhere, on standard error. Roles: customer (only about itself), clerk, operator,
partner. An instance reads the file when it starts.`,
		Example: "gateway new-api-key --name webshop --role clerk >> api-keys", Args: cli.Args(),
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` of the caller, for limits and logs")
	cmd.Flags().StringVar(&role, "role", "", "`role` of the caller")
	cmd.Flags().StringVar(&customer, "customer", "", "of the role customer: its `id`")
	cmd.RunE = func(*cobra.Command, []string) error {
		r := gateway.Role(role)
		switch {
		case !topics.ValidID(name):
			return run.Usagef("--name %q: 1 to 64 of A-Z a-z 0-9 . _ ~ -", name)
		case !slices.Contains(gateway.Roles(), r):
			return run.Usagef("--role %q is none of %v", role, gateway.Roles())
		case (r == gateway.CustomerRole) != (customer != ""), customer != "" && !topics.ValidID(customer):
			return run.Usagef("--customer: the id of the customer, with --role customer alone")
		}
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails: crypto/rand ends the program instead
		key := "utopia_" + base64.RawURLEncoding.EncodeToString(secret)
		if _, err := fmt.Fprintln(io.Stdout, gateway.KeyLine(name, r, customer, key)); err != nil {
			return err
		}
		_, err := fmt.Fprintln(io.Stderr, key)
		return err
	}
	return cmd
}
