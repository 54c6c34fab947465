package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/sr"

	"utopia/cmd/internal/config"
	"utopia/schemas"
)

// openRegistry returns a client of the configured schema registry. Nothing is
// kept between commands: at the same address may be another registry tomorrow.
func openRegistry(cfg *config.Config) (*schemas.Registry, error) {
	user, password, err := cfg.RegistryLogin()
	if err != nil {
		return nil, fmt.Errorf("--registry-password-file: %w", err)
	}
	rc := schemas.RegistryConfig{URLs: []string{cfg.Registry}}
	if user != "" {
		rc.Options = append(rc.Options, sr.BasicAuth(user, password))
	}
	return schemas.NewRegistry(rc)
}

func (s *session) registry() (*schemas.Registry, error) { return openRegistry(s.cfg) }
