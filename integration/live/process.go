package live

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Process is one life of a binary, for tests that decide themselves what happens to it.
type Process struct {
	Log string // where its output goes

	w    *World
	cmd  *exec.Cmd
	over chan struct{}
	err  error // how it ended; valid when over is closed
}

// Spawn starts an instance of a binary with a state directory of its own. It is killed at the end of the test if it still
// runs.
func (w *World) Spawn(name, binary string, args ...string) *Process {
	w.T.Helper()
	return w.SpawnAs(name, name, binary, args...)
}

// SpawnAs starts an instance with the state directory of that name.
func (w *World) SpawnAs(instance, state, binary string, args ...string) *Process {
	w.T.Helper()
	return w.spawn(state, binary, append([]string{"--instance", instance, "--dev"}, args...)...)
}

// SpawnGateway starts a gateway, which is no member of a group.
func (w *World) SpawnGateway(name string, args ...string) *Process {
	w.T.Helper()
	return w.spawn(name, "gateway", args...)
}

func (w *World) spawn(state, binary string, args ...string) *Process {
	w.T.Helper()
	p := &Process{w: w, over: make(chan struct{}), Log: filepath.Join(w.Dir, state+".log")}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.T.Fatal(err)
	}
	p.cmd = exec.Command(filepath.Join(w.Bin, binary), append([]string{ //nolint:noctx // our own binary; it ends with the test
		"run", "--state-dir", filepath.Join(w.Dir, "state-"+state), "--http", "",
	}, args...)...)
	// Through a pipe: a process that has no room for files can still say so.
	out := struct{ io.Writer }{log}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = w.Environment(), out, out
	if err := p.cmd.Start(); err != nil {
		w.T.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = log.Close()
		close(p.over)
	}()
	w.T.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.over
		if w.T.Failed() {
			w.T.Logf("the end of %s's log:\n%s", state, Tail(p.Log))
		}
	})
	return p
}

// Signal sends it a signal.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// PID is its number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running tells whether it still lives.
func (p *Process) Running() bool {
	select {
	case <-p.over:
		return false
	default:
		return true
	}
}

// Ended waits for its end and returns its exit code, -1 for a signal.
func (p *Process) Ended(within time.Duration) int {
	p.w.T.Helper()
	select {
	case <-p.over:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.w.T.Fatalf("%s did not end within %v", p.cmd.Path, within)
		return 0
	}
}

// Stop ends it in order, which must succeed.
func (p *Process) Stop() {
	p.w.T.Helper()
	p.Signal(syscall.SIGTERM)
	if code := p.Ended(time.Minute); code != 0 {
		p.w.T.Errorf("%s: exit code %d after SIGTERM", p.cmd.Path, code)
	}
}

// Said tells whether its log has a line with all of the words.
func (p *Process) Said(words ...string) bool { return p.SaidSince(0, words...) }

// Logged is how long its log is, for SaidSince.
func (p *Process) Logged() int {
	b, err := os.ReadFile(p.Log)
	if err != nil {
		p.w.T.Fatal(err)
	}
	return len(b)
}

// SaidSince is Said of what its log had not yet when it was from bytes long.
func (p *Process) SaidSince(from int, words ...string) bool { return said(p.Log, from, words...) }

// Said tells whether a log has a line with all of the words.
func Said(log string, words ...string) bool { return said(log, 0, words...) }

func said(log string, from int, words ...string) bool {
	f, err := os.Open(log)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.NewSectionReader(f, int64(from), math.MaxInt64-int64(from)))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			return true
		}
	}
	return false
}

// Until waits until something holds.
func (w *World) Until(within time.Duration, what string, holds func() (bool, error)) time.Duration {
	w.T.Helper()
	began := time.Now()
	last := error(nil)
	for {
		ok, err := holds()
		if ok && err == nil {
			return time.Since(began)
		}
		if err != nil {
			last = err
		}
		if time.Since(began) > within {
			w.T.Fatal(fmt.Errorf("not within %v: %s; last error: %w", within, what, last))
		}
		select {
		case <-w.T.Context().Done():
			w.T.Fatal(w.T.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
