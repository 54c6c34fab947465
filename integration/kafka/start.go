package kafka

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// Start runs a cluster until the test ends. If the test fails, the nodes' logs are kept and the test says where.
func Start(t testing.TB, options Options) *Cluster {
	t.Helper()
	began := time.Now()
	c, err := Run(t.Context(), tempDir(t), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Kafka with %d nodes took requests after %v", len(c.nodes), time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		c.Close()
		if t.Failed() {
			keep(t, c.KeepLogs)
		}
	})
	return c
}

// StartRegistry runs a registry until the test ends.
func StartRegistry(t testing.TB) *Registry {
	t.Helper()
	r, err := RunRegistry(t.Context(), tempDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if t.Failed() {
			keep(t, func(dir string) error {
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
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kafka-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// keep saves logs before their directory is removed.
func keep(t testing.TB, save func(dir string) error) {
	t.Helper()
	cache, err := Cache()
	if err == nil {
		dir := filepath.Join(cache, "failed", regexp.MustCompile(`[^\w.-]+`).ReplaceAllString(t.Name(), "_"))
		if err = save(dir); err == nil {
			t.Logf("its logs are kept in %s", dir)
			return
		}
	}
	t.Logf("its logs could not be kept: %v", err)
}
