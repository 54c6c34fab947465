package kafka

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// Start runs a cluster until the test ends. If the test fails, the nodes' logs are kept and the test says where.
func Start(tb testing.TB, options Options) *Cluster {
	tb.Helper()
	began := time.Now()
	c, err := Run(tb.Context(), tempDir(tb), options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Logf("Kafka with %d nodes took requests after %v", len(c.nodes), time.Since(began).Round(time.Millisecond))
	tb.Cleanup(func() {
		c.Close()
		if tb.Failed() {
			keep(tb, c.KeepLogs)
		}
	})
	return c
}

// StartRegistry runs a registry until the test ends.
func StartRegistry(tb testing.TB) *Registry {
	tb.Helper()
	r, err := RunRegistry(tb.Context(), tempDir(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		r.Close()
		if tb.Failed() {
			keep(tb, func(dir string) error {
				if err := os.MkdirAll(dir, 0o750); err != nil {
					return err
				}
				return copyFile(r.path, filepath.Join(dir, "registry.log"))
			})
		}
	})
	return r
}

// tempDir is a directory whose name is no list to Kafka: a test's own may have commas.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "kafka-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// keep saves logs before their directory is removed.
func keep(tb testing.TB, save func(dir string) error) {
	tb.Helper()
	cache, err := Cache()
	if err == nil {
		dir := filepath.Join(cache, "failed", regexp.MustCompile(`[^\w.-]+`).ReplaceAllString(tb.Name(), "_"))
		if err = save(dir); err == nil {
			tb.Logf("its logs are kept in %s", dir)
			return
		}
	}
	tb.Logf("its logs could not be kept: %v", err)
}
