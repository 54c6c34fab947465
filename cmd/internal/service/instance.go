package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"utopia/cmd/internal/config"
)

// Instance returns the name of a worker beside the processor in its own group:
// --instance, else one made at the first start and kept in the named file of the
// state directory. A name that stays the same lets a killed worker take its own
// place again, instead of waiting for its former self's session to end.
func Instance(c *config.Config, file string) (string, error) {
	if c.Instance != "" {
		return c.Instance, nil
	}
	path := filepath.Join(c.StateDir, file)
	b, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(b)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("--state-dir: %w", err)
	}
	id := uuid.NewString()
	part := path + ".part"
	if err := os.WriteFile(part, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("--state-dir: %w", err)
	}
	if err := os.Rename(part, path); err != nil { // whole or not at all, whenever the process is killed
		return "", fmt.Errorf("--state-dir: %w", err)
	}
	return id, nil
}
