package service

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/cmd/internal/links"
	"utopia/cmd/internal/run"
)

// KeyCommand makes cmd a command that writes one line of a key file: a random
// secret and its id. It never overwrites a file.
func KeyCommand(cmd *cobra.Command, io Streams) *cobra.Command {
	var id, out string
	cmd.Args = cli.Args()
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
