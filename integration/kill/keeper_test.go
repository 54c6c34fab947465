//go:build kill

package kill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// keeper starts one instance of a binary again whenever it has died, as an orchestrator does.
type keeper struct {
	w        *world
	name     string // of the instance
	binary   string
	args     []string
	log      string
	mu       sync.Mutex
	cmd      *exec.Cmd
	point    string // at which this life is to end; empty: nowhere
	kills    map[string]int
	failures []error // lives that ended otherwise
}

func (w *world) keep(name, binary string, args ...string) *keeper {
	return &keeper{
		w: w, name: name, binary: binary, log: filepath.Join(w.dir, name+".log"), kills: map[string]int{},
		args: append([]string{
			"run", "--state-dir", filepath.Join(w.dir, "state-"+name), "--instance", name, "--dev", "--http", "",
		}, args...),
	}
}

// run lives until ctx ends; the last life ends with SIGTERM and must end well. As long as harm has not ended, every second
// life is told to die at some point of a transaction.
func (k *keeper) run(ctx, harm context.Context, random *rand.Rand) {
	log, err := os.OpenFile(k.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		k.fail(err)
		return
	}
	defer func() { _ = log.Close() }()
	for ctx.Err() == nil {
		ended := k.live(ctx, log, harm.Err() == nil && random.IntN(2) == 0, random)
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			if ended != nil {
				k.fail(fmt.Errorf("stopped in order: %w", ended))
			}
		case errors.As(ended, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL: //nolint:forcetypeassert // POSIX
			k.count()
		default:
			k.fail(fmt.Errorf("ended by itself: %w", ended))
			select { // whatever it was may pass
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// live is one life.
func (k *keeper) live(ctx context.Context, log *os.File, die bool, random *rand.Rand) error {
	cmd := exec.Command(filepath.Join(k.w.bin, k.binary), k.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = k.w.environment(), log, log
	k.mu.Lock()
	if k.point = ""; die {
		k.point = points()[random.IntN(len(points()))]
		cmd.Env = append(cmd.Env, fmt.Sprintf("UTOPIA_KILL_AT=%s:%d", k.point, 1+random.IntN(30)))
	}
	if err := cmd.Start(); err != nil {
		k.mu.Unlock()
		return err
	}
	k.cmd = cmd
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
	return cmd.Wait()
}

// points are where a transaction can be cut.
func points() []string {
	return []string{"poll", "begin", "produce", "flush", "offsets_added", "end_sent", "end_answered", "store_applied"}
}

// kill sends SIGKILL to the present life.
func (k *keeper) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cmd != nil && k.cmd.Process != nil {
		k.point = "at a random time"
		_ = k.cmd.Process.Kill()
	}
}

// doomed tells whether the present life is to die at some point.
func (k *keeper) doomed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.point != ""
}

// deaths is how many lives ended with SIGKILL.
func (k *keeper) deaths() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, of := range k.kills {
		n += of
	}
	return n
}

// failed returns what went wrong if lives end by themselves again and again.
func (k *keeper) failed() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.failures) < 3 {
		return nil
	}
	return errors.Join(k.failures...)
}

func (k *keeper) count() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kills[k.point]++
}

func (k *keeper) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures = append(k.failures, fmt.Errorf("%s: %w", k.name, err))
}
