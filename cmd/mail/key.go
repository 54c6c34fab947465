package main

import (
	"github.com/spf13/cobra"

	"utopia/cmd/internal/service"
)

// newKeyCommand makes key files for --link-keys.
func newKeyCommand(_ service.Spec, io service.Streams) *cobra.Command {
	return service.KeyCommand(&cobra.Command{
		Use: "new-link-key", Short: "Make a key that signs confirmation links",
		Long: `Writes one line of a key file: a random secret and its id. Every binary that signs or
verifies links reads the same file. To rotate, put a new line first, restart the binaries
one by one, and remove the old line when its last link has expired (72 hours).`,
		Example: "mail new-link-key --out link-keys",
	}, io)
}
