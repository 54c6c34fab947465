package live

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Met counts something that the instance went through.
func (k *Keeper) Met(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.met[what]++
}

// WentThrough is what the instance went through beside its kills.
func (k *Keeper) WentThrough() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.met)
}

// Age is how long the present life lasts; 0 if there is none, or if it stands still.
func (k *Keeper) Age() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cmd == nil || k.still {
		return 0
	}
	return time.Since(k.began)
}

// AtWork tells whether the present life has had partitions, and does not stand still: what happens to one that has not yet come
// so far tells little.
func (k *Keeper) AtWork() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cmd == nil || k.still {
		return false
	}
	k.atWork = k.atWork || said(k.Log, int(k.logged), `"msg":"partitions assigned"`)
	return k.atWork
}

// Away tells whether the instance is not to be started.
func (k *Keeper) Away() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.away != nil
}

// Leave ends the present life, with SIGTERM or SIGKILL, and starts no other before Return.
func (k *Keeper) Leave(s syscall.Signal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away == nil {
		k.away = make(chan struct{})
	}
	if k.cmd == nil {
		return
	}
	if k.leaving = s == syscall.SIGTERM; !k.leaving {
		k.point = "at a random time"
	}
	_ = k.cmd.Process.Signal(s)
}

// Return starts the instance again.
func (k *Keeper) Return() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away != nil {
		close(k.away)
		k.away = nil
	}
}

// returns waits until the instance is to live; it does not any more when ctx has ended.
func (k *Keeper) returns(ctx context.Context) bool {
	k.mu.Lock()
	away := k.away
	k.mu.Unlock()
	if away != nil {
		select {
		case <-away:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// Pause lets the present life stand still; false if there is none.
func (k *Keeper) Pause() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cmd == nil || k.still || k.cmd.Process.Signal(syscall.SIGSTOP) != nil {
		return false
	}
	k.still = true
	return true
}

// Resume lets it go on; false if it does not stand still, perhaps because it was killed.
func (k *Keeper) Resume() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cmd == nil || !k.still {
		return false
	}
	k.still = false
	return k.cmd.Process.Signal(syscall.SIGCONT) == nil
}

// TransactionalID is that of the instance's transactions.
func (k *Keeper) TransactionalID() string { return k.binary + "-" + k.Name }

// Open tells whether the coordinator knows of a transaction that has not ended. A broker that does not answer says no.
func (k *Keeper) Open(ctx context.Context) bool {
	if k.w.Admin == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	id := k.TransactionalID()
	described, err := k.w.Admin.DescribeTransactions(ctx, id)
	return err == nil && described[id].Err == nil &&
		slices.Contains([]string{"Ongoing", "PrepareCommit", "PrepareAbort"}, described[id].State)
}

// Unfinished tells whether the log has records of a transaction of the instance that has not ended. A transaction may be open and
// have none: it began with the offsets of input that came to nothing.
func (k *Keeper) Unfinished(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	id := k.TransactionalID()
	transactions, err := k.w.Admin.DescribeTransactions(ctx, id)
	mine := transactions[id]
	if err != nil || mine.Err != nil || mine.State != "Ongoing" || len(mine.Topics) == 0 {
		return false
	}
	return k.w.unfinished(ctx, mine.Topics, func(producer int64) bool { return producer == mine.ProducerID })
}

// Unfinished tells whether a topic has records of any transaction that has not ended.
func (w *World) Unfinished(ctx context.Context, topic string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var all kadm.TopicsSet
	all.Add(topic)
	return w.unfinished(ctx, all, func(int64) bool { return true })
}

func (w *World) unfinished(ctx context.Context, in kadm.TopicsSet, whose func(producer int64) bool) (found bool) {
	producers, err := w.Admin.DescribeProducers(ctx, in)
	producers.EachProducer(func(p kadm.DescribedProducer) { found = found || p.CurrentTxnStartOffset >= 0 && whose(p.ProducerID) })
	return err == nil && found
}

// PauseUnfinished lets the instance stand still while the log has records of its transaction; false if it had none just now.
func (k *Keeper) PauseUnfinished(ctx context.Context) bool {
	if !k.Pause() {
		return false
	}
	if k.Unfinished(ctx) {
		time.Sleep(300 * time.Millisecond) // its last words may have been on their way to the broker
		if k.Unfinished(ctx) {
			return true
		}
	}
	k.Resume()
	return false
}

// fenced is what a process says of whose place another has taken.
const fenced = "another process runs as this instance"

// Replace starts another process as this instance, with a state directory of its own, as an orchestrator does that has lost
// sight of the first. Whichever is older ends; when it is this one, its next life does the same to the other.
func (k *Keeper) Replace() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rivals > 0 || k.cmd == nil {
		return nil // one at a time
	}
	log, err := os.OpenFile(k.Log, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	args := slices.Clone(k.args)
	args[slices.Index(args, "--state-dir")+1] = filepath.Join(k.w.Dir, "state-"+k.Name+"-rival")
	cmd := exec.Command(filepath.Join(k.w.Bin, k.binary), args...) //nolint:noctx // our own binary; endRival ends it
	cmd.Env, cmd.Stdout, cmd.Stderr = k.w.Environment(), log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	k.rival = cmd
	k.rivals++
	k.rivalsOver.Go(func() {
		ended := cmd.Wait()
		defer func() { k.mu.Lock(); k.rivals--; k.mu.Unlock() }()
		switch {
		case killed(ended):
		case exitCode(ended) == 1 && k.replaced():
			k.Met("fencings")
		default:
			k.fail(fmt.Errorf("the process that replaced it ended by itself: %w", ended))
		}
	})
	return nil
}

// replaced tells whether there was another process as this instance, and one of the two has said so.
func (k *Keeper) replaced() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rival != nil && strings.Contains(tail(k.Log, 1<<16), fenced)
}

// endRival kills the other process, if there is one.
func (k *Keeper) endRival() {
	k.mu.Lock()
	if k.rivals > 0 {
		_ = k.rival.Process.Kill()
	}
	k.mu.Unlock()
	k.rivalsOver.Wait()
}
