//go:build kill

package kill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"utopia/integration/live"
	"utopia/integration/traffic"
	"utopia/topics"
)

// TestUpSurvivesKills kills `utopia up --data` with everything in it, broker included, while it works. Nothing that was
// acknowledged may be lost, and no verdict may change.
func TestUpSurvivesKills(t *testing.T) {
	s := live.Seed(t, *seed)
	random := rand.New(rand.NewPCG(s, 3))
	w := &live.World{T: t, Dir: t.TempDir(), Bin: *built}
	kafka, registry, page := w.FreePort(), w.FreePort(), w.FreePort()
	w.Brokers, w.Registry = fmt.Sprintf("127.0.0.1:%d", kafka), fmt.Sprintf("http://127.0.0.1:%d", registry)
	u := &upProcess{
		w: w, log: filepath.Join(w.Dir, "up.log"), ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", page),
		args: []string{
			"up", "--verbose", "--data", filepath.Join(w.Dir, "data"),
			"--kafka-port", fmt.Sprint(kafka), "--registry-port", fmt.Sprint(registry), "--http-port", fmt.Sprint(page),
		},
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of its log:\n%s", live.Tail(u.log))
		}
	})
	u.start()
	w.Connect()
	sender, err := traffic.New(w.Client, w.IDs(), rand.New(rand.NewPCG(s, 1)))
	if err != nil {
		t.Fatal(err)
	}
	const lives = 8
	for range lives {
		u.work(sender, time.Duration(1500+random.IntN(2500))*time.Millisecond)
		w.Client.Close()
		u.start()
		w.Connect() // a new producer: the old one does not know how much of what it sent arrived
		sender.Through(w.Client)
	}
	w.Settle(2*time.Minute, live.Groups()...)
	w.Present(sender.Sent())
	counted := w.Check(true, u.log)
	if counted["commands"] < 300 {
		t.Errorf("only %d commands in %d lives", counted["commands"], lives)
	}
	u.stop()
}

// upProcess is one `utopia up` after the other.
type upProcess struct {
	w          *live.World
	args       []string
	log, ready string
	cmd        *exec.Cmd
}

// start starts it and waits until it is ready.
func (u *upProcess) start() {
	u.w.T.Helper()
	log, err := os.OpenFile(u.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		u.w.T.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	u.cmd = exec.Command(filepath.Join(u.w.Bin, "utopia"), u.args...)
	u.cmd.Stdout, u.cmd.Stderr = log, log
	if err := u.cmd.Start(); err != nil {
		u.w.T.Fatal(err)
	}
	u.w.T.Cleanup(func() { _ = u.cmd.Process.Kill() })
	ctx, cancel := context.WithTimeout(u.w.T.Context(), 90*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !u.isReady(ctx) {
		select {
		case <-ctx.Done():
			u.w.T.Fatal("utopia up did not become ready")
		case <-tick.C:
		}
	}
}

func (u *upProcess) isReady(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.ready, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// work sends traffic and kills the process while it is under way.
func (u *upProcess) work(sender *traffic.Traffic, after time.Duration) {
	u.w.T.Helper()
	ctx, cancel := context.WithCancel(u.w.T.Context())
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(ctx, 150) }()
	select {
	case err := <-sent:
		u.w.T.Errorf("the traffic ended before the kill: %v", err)
	case <-time.After(after):
	}
	// A transaction with records in the log, if there is one soon: over all lives there is.
	for range 100 {
		if u.w.Unfinished(ctx, topics.CustomerEvents.Name) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = u.cmd.Process.Signal(syscall.SIGKILL)
	_ = u.cmd.Wait()
	cancel()
	if err := <-sent; err != nil { // the last record counts only if it was acknowledged
		u.w.T.Logf("the traffic ended with the process: %v", err)
	}
}

// stop ends it in order.
func (u *upProcess) stop() {
	u.w.T.Helper()
	_ = u.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- u.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			u.w.T.Errorf("stopped in order: %v", err)
		}
	case <-time.After(30 * time.Second):
		u.w.T.Error("it does not stop")
	}
}
