package system

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// ErrPortInUse says that another program listens on a port that is needed here.
var ErrPortInUse = errors.New("the port is in use")

// portError makes a bind error say which flag changes the port.
func portError(err error, flag string, port int) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: 127.0.0.1:%d; stop what listens there or choose another with %s", ErrPortInUse, port, flag)
	}
	return err
}

// startBroker starts the embedded broker on loopback. With a directory it keeps everything there, and its cluster id
// too: local state of another cluster must be recognised as such.
func startBroker(dir string, port int) (*kfake.Cluster, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("embedded broker: %w", err)
		}
	}
	probe, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // closed in the next line
	if err != nil {
		return nil, portError(err, "--kafka-port", port)
	}
	if addr, ok := probe.Addr().(*net.TCPAddr); ok {
		port = addr.Port
	}
	_ = probe.Close()
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(port)}
	if dir != "" {
		id, err := clusterID(filepath.Join(dir, "cluster-id"))
		if err != nil {
			return nil, err
		}
		opts = append(opts, kfake.DataDir(filepath.Join(dir, "broker")), kfake.ClusterID(id))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", portError(err, "--kafka-port", port))
	}
	return cluster, nil
}

// clusterID reads the id of the cluster in a data directory, or makes one the first time.
func clusterID(path string) (string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the path is ours
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cluster id: %w", err)
	}
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("cluster id: %w", err)
	}
	id := base64.RawURLEncoding.EncodeToString(raw[:])
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("cluster id: %w", err)
	}
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("cluster id: %w", err)
	}
	return id, nil
}
