package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
)

// newKeyCommand makes key files for --link-keys.
func newKeyCommand(_ service.Spec, io service.Streams) *cobra.Command {
	var id, out string
	cmd := &cobra.Command{
		Use: "new-link-key", Short: "Make a key that signs confirmation links",
		Long: `Writes one line of a key file: a random secret and its id. Every binary that signs or
verifies links reads the same file. To rotate, put a new line first, restart the binaries
one by one, and remove the old line when its last link has expired (72 hours).`,
		Example: "mail new-link-key --out link-keys", Args: cli.Args(),
	}
	cmd.Flags().StringVar(&id, "id", "", "`id` of the key; default: today's date")
	cmd.Flags().StringVar(&out, "out", "", "`file` to make, readable by its owner only; default: standard output")
	cmd.RunE = func(*cobra.Command, []string) error {
		if id == "" {
			id = time.Now().UTC().Format("k20060102")
		}
		text, err := links.GenerateKey(id)
		if err != nil {
			return run.Usagef("--id: %w", err)
		}
		if out == "" {
			_, err = fmt.Fprintln(io.Stdout, text)
			return err
		}
		f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return run.Usagef("--out: %w", err)
		}
		if _, err := fmt.Fprintln(f, text); err != nil {
			_ = f.Close()
			return err
		}
		return f.Close()
	}
	return cmd
}
