package main

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

// instance returns the mailer's name in its group: --instance, else one made at
// the first start and kept in the state directory. A name that stays the same
// lets a killed mailer take its own place again, instead of waiting for its
// former self's session to end.
func instance(c *config.Config) (string, error) {
	if c.Instance != "" {
		return c.Instance, nil
	}
	path := filepath.Join(c.StateDir, "mailer-instance")
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
