package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"

	"utopia/cmd/internal/history"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
)

// querySide makes the query side of timelines, if it is wanted.
func querySide(e *service.Env) ([]run.Part, error) {
	c := e.Config
	if c.QueryListen == "" {
		return nil, nil
	}
	word, err := c.QueryWord()
	if err != nil {
		return nil, run.Usagef("--customer-query-key-file: %w", err)
	}
	past, err := history.New(history.Config{Client: e.Client, IDs: e.IDs, Dir: filepath.Join(c.StateDir, "history"), Logger: e.Log})
	if err != nil {
		return nil, err
	}
	var protection *tls.Config
	if c.QueryCert != "" {
		protection = run.Certificate(c.QueryCert, c.QueryKey)
	}
	serve := func(ctx context.Context) error {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.QueryListen)
		if err != nil {
			return fmt.Errorf("--query-listen %s: %w", c.QueryListen, err)
		}
		return past.Serve(ctx, l, protection, word)
	}
	// Neither holds the processor up: a query side that reads is only not answered by.
	return []run.Part{{Name: "query side", Run: past.Run}, {Name: "query side's port", Run: serve}}, nil
}
