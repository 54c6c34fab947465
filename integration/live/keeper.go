package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Keeper starts one instance of a binary again whenever it has died, as an orchestrator does.
type Keeper struct {
	Name string // of the instance
	Log  string // where its output goes

	w        *World
	binary   string
	args     []string
	mu       sync.Mutex
	cmd      *exec.Cmd // nil between lives
	began    time.Time // of the present life
	logged   int64     // how long the log was then
	atWork   bool      // it has had partitions since
	point    string    // at which this life is to end; empty: nowhere
	still    bool      // it was stopped with SIGSTOP
	kills    map[string]int
	failures []error // lives that ended otherwise

	// Lenient keepers take a stop in order that failed for one that took too long: what it needs may be away.
	Lenient bool
	away    chan struct{}  // not nil: it is not started again before this is closed
	leaving bool           // the present life was asked to end in order
	rival   *exec.Cmd      // the last other process that ran as this instance
	rivals  int            // that run now: 0 or 1
	met     map[string]int // what it went through

	rivalsOver sync.WaitGroup
}

// Keep returns a keeper of an instance; Run makes it live.
func (w *World) Keep(name, binary string, args ...string) *Keeper {
	return w.keep(name, binary, append([]string{"--instance", name, "--dev"}, args...)...)
}

// KeepGateway returns a keeper of a gateway, which is no member of a group.
func (w *World) KeepGateway(name string, args ...string) *Keeper {
	return w.keep(name, "gateway", args...)
}

func (w *World) keep(name, binary string, args ...string) *Keeper {
	return &Keeper{
		Name: name, Log: filepath.Join(w.Dir, name+".log"), w: w, binary: binary, kills: map[string]int{}, met: map[string]int{},
		args: append([]string{"run", "--state-dir", filepath.Join(w.Dir, "state-"+name), "--http", ""}, args...),
	}
}

// Run lives until ctx ends; the last life ends with SIGTERM and must end well. As long as harm has not ended, every second
// life is told to die at some point of a transaction.
func (k *Keeper) Run(ctx, harm context.Context, random *rand.Rand) {
	log, err := os.OpenFile(k.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		k.fail(err)
		return
	}
	defer func() { _ = log.Close() }()
	defer k.endRival()
	for k.returns(ctx) {
		ended := k.live(ctx, log, harm.Err() == nil && random.IntN(2) == 0, random)
		if k.judge(ctx, ended) {
			continue
		}
		select { // whatever it was may pass
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// judge says whether a life has ended as it should, and counts it.
func (k *Keeper) judge(ctx context.Context, ended error) bool {
	k.mu.Lock()
	leaving := k.leaving
	k.leaving = false
	k.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		if ended != nil {
			k.fail(fmt.Errorf("stopped in order: %w", ended))
		}
	case killed(ended):
		k.count()
		if k.Open(ctx) {
			k.Met("open transactions at a kill")
		}
	case leaving && ended == nil:
		k.Met("stops in order")
	case leaving && signalled(ended, syscall.SIGTERM):
		k.Met("stops before it had begun") // to listen to signals
	case leaving && k.Lenient && exitCode(ended) == 1:
		k.Met("late stops")
	case exitCode(ended) == 1 && k.replaced():
		k.Met("fencings")
	default:
		k.fail(fmt.Errorf("ended by itself: %w", ended))
		return false
	}
	return true
}

func killed(ended error) bool { return signalled(ended, syscall.SIGKILL) }

// signalled tells whether a life was ended by a signal.
func signalled(ended error, s syscall.Signal) bool {
	var exit *exec.ExitError
	return errors.As(ended, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == s //nolint:forcetypeassert // POSIX
}

// exitCode is that of a life that failed by itself, else 0.
func exitCode(ended error) int {
	var exit *exec.ExitError
	if !errors.As(ended, &exit) {
		return 0
	}
	return exit.ExitCode()
}

// live is one life.
func (k *Keeper) live(ctx context.Context, log *os.File, die bool, random *rand.Rand) error {
	cmd := exec.Command(filepath.Join(k.w.Bin, k.binary), k.args...) //nolint:noctx // our own binary; a signal ends it
	cmd.Env, cmd.Stdout, cmd.Stderr = k.w.Environment(), log, log
	k.mu.Lock()
	if k.point = ""; die {
		k.point = Points()[random.IntN(len(Points()))]
		cmd.Env = append(cmd.Env, fmt.Sprintf("UTOPIA_KILL_AT=%s:%d", k.point, 1+random.IntN(30)))
	}
	if err := cmd.Start(); err != nil {
		k.mu.Unlock()
		return err
	}
	k.cmd, k.began, k.atWork = cmd, time.Now(), false
	if at, err := log.Seek(0, io.SeekEnd); err == nil {
		k.logged = at
	}
	k.mu.Unlock()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-over:
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}()
	err := cmd.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cmd, k.still = nil, false
	return err
}

// Points are where a transaction can be cut.
func Points() []string {
	return []string{"poll", "begin", "produce", "flush", "offsets_added", "end_sent", "end_answered", "store_applied"}
}

// Kill sends SIGKILL to the present life.
func (k *Keeper) Kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cmd != nil {
		k.point = "at a random time"
		_ = k.cmd.Process.Kill()
	}
}

// Doomed tells whether the present life is to die at some point.
func (k *Keeper) Doomed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.point != ""
}

// Kills counts the lives that ended with SIGKILL by where they were killed.
func (k *Keeper) Kills() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.kills)
}

// Failures are the lives that ended otherwise.
func (k *Keeper) Failures() []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.failures)
}

// Deaths is how many lives ended with SIGKILL.
func (k *Keeper) Deaths() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, of := range k.kills {
		n += of
	}
	return n
}

// Failed returns what went wrong if lives end by themselves again and again.
func (k *Keeper) Failed() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.failures) < 3 {
		return nil
	}
	return errors.Join(k.failures...)
}

func (k *Keeper) count() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kills[k.point]++
}

func (k *Keeper) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures = append(k.failures, fmt.Errorf("%s: %w", k.Name, err))
}
