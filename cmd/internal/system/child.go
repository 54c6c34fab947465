package system

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A broker that keeps its data runs in a process of its own. kill -9 of the system then leaves the broker the moment it
// needs to put everything on disk: a fake broker that is killed in the middle of a commit may keep one half of it, which a
// real one never does. The broker ends when its standard input does, so it never outlives the system for long.

const (
	brokerReady  = "ready "
	brokerFailed = "failed "
	// brokerLockWait is how long a new broker waits for the one before it to close.
	brokerLockWait = 30 * time.Second
)

// errBroker is what a broker process said before it ended.
var errBroker = errors.New("embedded broker")

// ServeBroker is the broker process: it serves until in ends or ctx does, and says on out where it listens.
func ServeBroker(ctx context.Context, dir string, port int, in io.Reader, out io.Writer) error {
	err := serveBroker(ctx, dir, port, in, out)
	if err != nil {
		_, _ = fmt.Fprintln(out, brokerFailed+err.Error())
	}
	return err
}

func serveBroker(ctx context.Context, dir string, port int, in io.Reader, out io.Writer) error {
	unlock, err := lockBroker(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	clean := filepath.Join(dir, "broker-closed")
	_, statErr := os.Stat(clean)
	_, hasData := os.Stat(filepath.Join(dir, "broker"))
	crashed := errors.Is(statErr, fs.ErrNotExist) && hasData == nil
	_ = os.Remove(clean)
	cluster, err := startBroker(dir, port)
	if err != nil {
		return err
	}
	addr := cluster.ListenAddrs()[0]
	if crashed {
		if err := abortLeftovers(ctx, addr); err != nil {
			cluster.Close()
			return fmt.Errorf("repair after a crash: %w", err)
		}
	}
	_, _ = fmt.Fprintln(out, brokerReady+addr)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, in)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	cluster.Close()
	return os.WriteFile(clean, nil, 0o600)
}

func lockBroker(ctx context.Context, dir string) (func(), error) {
	deadline := time.Now().Add(brokerLockWait)
	for {
		lock, err := vfs.Default.Lock(filepath.Join(dir, "broker-lock"))
		if err == nil {
			return func() { _ = lock.Close() }, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// startChild runs command as the broker process and returns its address.
func startChild(ctx context.Context, command []string) (addr string, stop func(), err error) {
	cmd := exec.Command(command[0], command[1:]...)       //nolint:gosec,noctx // our own program; it ends with its input, not with ctx
	cmd.Args[0] = os.Args[0]                              // a program may go by the name it was called by
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the system, which closes the broker last
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errBroker, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errBroker, err)
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("%w: %w", errBroker, err)
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- strings.TrimSpace(line)
	}()
	select {
	case line := <-said:
		if addr, ok := strings.CutPrefix(line, brokerReady); ok {
			return addr, stop, nil
		}
		stop()
		return "", nil, fmt.Errorf("%w: %s", errBroker, strings.TrimPrefix(line, brokerFailed))
	case <-ctx.Done():
		stop()
		return "", nil, ctx.Err()
	}
}
