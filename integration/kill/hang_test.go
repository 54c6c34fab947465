//go:build kill && linux

package kill

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"utopia/integration/live"
)

// A broker that is there and does not answer holds nobody up who is to stop: neither with requests under way nor when all of them have been given up and
// new connections hang. Everything ends by itself within five seconds, which exit code 0 says.
func TestEverybodyStopsWhileTheBrokerHangs(t *testing.T) {
	for name, since := range map[string]time.Duration{"just now": 0, "for long": 25 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stopWhileTheBrokerHangs(t, since)
		})
	}
}

func stopWhileTheBrokerHangs(t *testing.T, since time.Duration) {
	t.Helper()
	w, broker := newWorldAndBroker(t)
	address := fmt.Sprintf("127.0.0.1:%d", w.FreePort())
	all := map[string]*live.Process{
		"customer": w.Spawn("customer-1", "customer"), "billing": w.Spawn("billing-1", "billing"), "notification": w.Spawn("notification-1", "notification"),
		"webhook": w.Spawn("webhook-1", "webhook", w.WebhookFlags()...),
		"mail": w.Spawn("mail-1", "mail", "--mail-dir", filepath.Join(w.Dir, "mails"), "--link-keys", w.LinkKeys(),
			"--mail-from", "utopia@example.org", "--base-url", "http://127.0.0.1/"),
		"gateway": w.SpawnGateway("gateway-1", "--open", "--listen", address, "--link-keys", w.LinkKeys()),
	}
	w.CLI("webhook", "register", "w-1", "--url", "http://127.0.0.1:9/", "--webhook-keys", w.WebhookKeys(), "--timeout", "1m")
	w.CLI("customer", "register", "c-1", "--name", "Ada", "--email", "ada@example.org",
		"--country", "NL", "--street", "Markt 1", "--city", "Gouda", "--postcode", "2801 JG", "--timeout", "1m")
	w.Until(time.Minute, "the gateway tells of changes", func() (bool, error) { return follow(t.Context(), "http://"+address) == nil, nil })
	for name, p := range all {
		if name != "gateway" {
			w.Until(time.Minute, name+" has its partitions", func() (bool, error) { return p.Said("partitions assigned"), nil })
		}
	}
	t.Cleanup(func() { _ = broker.Signal(syscall.SIGCONT) })
	if err := broker.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-time.After(since):
	case <-t.Context().Done():
	}
	for _, p := range all {
		p.Signal(syscall.SIGTERM)
	}
	for name, p := range all {
		if code := p.Ended(time.Minute); code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}

// follow reads the gateway's stream of changes until it ends.
func follow(ctx context.Context, gateway string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/v1/feeds/customer-changes/stream?from=oldest", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r) //nolint:bodyclose // it is, when the stream ends
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	go func() {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}()
	return nil
}
