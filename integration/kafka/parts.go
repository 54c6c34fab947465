package kafka

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

//go:embed pom.xml
var pom []byte

//go:embed log4j2.properties
var logging []byte

// Cache is where downloads and the logs of failed runs are kept: .cache/kafka of the module that the working directory is
// in. Git ignores it.
func Cache() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".cache", "kafka"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("kafka: the working directory is in no Go module, so there is no place for downloads")
		}
		dir = parent
	}
}

// parts returns the folder that holds kafka/*.jar, registry/ and log4j2.properties, and downloads what it lacks. Another
// pom.xml is another folder; processes that need it at the same time wait for the first.
func parts(ctx context.Context) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { //nolint:gosec // a file descriptor
		return "", fmt.Errorf("lock %s: %w", cache, err)
	}
	sum := sha256.Sum256(append(pom[:len(pom):len(pom)], logging...))
	dir := filepath.Join(cache, "parts-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	half := dir + ".half" // a download that was cut off is never mistaken for a whole one
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	if err := os.Mkdir(half, 0o750); err != nil {
		return "", err
	}
	for name, content := range map[string][]byte{"pom.xml": pom, "log4j2.properties": logging} {
		if err := os.WriteFile(filepath.Join(half, name), content, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "mvn", "--batch-mode", "--quiet", "--file", filepath.Join(half, "pom.xml"), "package", "-Dparts="+half)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("kafka: download the artifacts of integration/kafka/pom.xml with Maven: %w\n%s", err, out)
	}
	return dir, os.Rename(half, dir)
}
