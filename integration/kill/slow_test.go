//go:build kill && linux

package kill

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"utopia/integration/live"
	"utopia/integration/traffic"
)

// Faults that take their time, all of them at the same time and under load: an instance stands still, with a transaction open,
// for longer than its transaction and its session last; another is stopped in order again and again; a third has no room to
// write its state.
func TestSlowFaultsChangeNoVerdict(t *testing.T) {
	s := live.Seed(t, *seed)
	w := newWorld(t)
	keepers := w.Services()
	sleeper, stopped := keepers[0], keepers[2]
	stop := w.Live(keepers...)
	sending, stopSending := context.WithTimeout(t.Context(), 4*time.Minute)
	defer stopSending()
	sender, err := traffic.New(w.Client, w.IDs(), rand.New(rand.NewPCG(s, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(sending, 120) }()

	full := w.Spawn("notification-2", "notification")
	w.Until(time.Minute, "the second instance works", func() (bool, error) { return full.Said("partitions assigned"), nil })
	fileSize(t, full, 4<<10)
	asleep := time.Now()
	w.Until(time.Minute, "an instance stands still with records of a transaction in the log", func() (bool, error) {
		return sleeper.PauseUnfinished(t.Context()), nil
	})
	for range 3 {
		stopsInOrder(t, w, stopped)
	}
	if code := full.Ended(90 * time.Second); code != 1 {
		t.Errorf("exit code %d without room for the state", code)
	}
	if !full.Said(`"ERROR"`, "write the state of notification-table", "file too large") {
		t.Error("it does not say that it could not write")
	}
	again := w.Spawn("notification-2", "notification")
	select { // longer than a session
	case <-time.After(time.Until(asleep.Add(35 * time.Second))):
	case <-t.Context().Done():
	}
	if !sleeper.Resume() {
		t.Error("the instance that stood still has ended")
	}
	w.Until(time.Minute, "it starts over", func() (bool, error) {
		return live.Said(sleeper.Log, "the group member is replaced"), nil
	})
	stopSending()
	if err := <-sent; err != nil {
		t.Fatalf("the traffic: %v", err)
	}
	w.Settle(2*time.Minute, live.Groups()...)
	if !again.Running() {
		t.Error("with room for its state it ended all the same")
	}
	again.Stop()
	stop()
	logs := []string{full.Log}
	for _, k := range keepers {
		logs = append(logs, k.Log)
		for _, err := range k.Failures() {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", k.Name, live.Tail(k.Log))
		}
	}
	w.Present(sender.Sent())
	w.Check(true, logs...)
	t.Log(w.Command("customer", "rebuild", "--check"))
}

// stopsInOrder stops an instance under load: it finishes what it has begun, within the time that an orchestrator gives it.
func stopsInOrder(t *testing.T, w *live.World, k *live.Keeper) {
	t.Helper()
	w.Until(time.Minute, "it works", func() (bool, error) { return k.Age() > 2*time.Second, nil })
	before := k.WentThrough()["stops in order"]
	k.Leave(syscall.SIGTERM)
	took := w.Until(time.Minute, "it has stopped", func() (bool, error) { return k.Age() == 0, nil })
	if took > 5*time.Second {
		t.Errorf("%s took %v to stop", k.Name, took)
	}
	if k.Open(t.Context()) {
		t.Errorf("%s has left a transaction open", k.Name)
	}
	if live.Said(k.Log, "the group member is replaced") {
		t.Errorf("%s has dropped a transaction", k.Name)
	}
	w.Until(time.Minute, "it is counted", func() (bool, error) { return k.WentThrough()["stops in order"] > before, nil })
	k.Return()
}

// fileSize lets a process write no file beyond a size: the disk is full for it, and for nobody else.
func fileSize(t *testing.T, p *live.Process, most uint64) {
	t.Helper()
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}, nil); err != nil {
		t.Fatal(err)
	}
}
