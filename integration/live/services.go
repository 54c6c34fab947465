package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"utopia/schemas"
)

// IDs asks the registry, as every producer does.
func (w *World) IDs() schemas.IDs {
	w.T.Helper()
	ids, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{w.Registry}})
	if err != nil {
		w.T.Fatal(err)
	}
	return ids
}

// linkKeys sign the links of mails, and the secrets of webhooks are derived from them.
const linkKeys = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

// LinkKeys is a file of keys for links.
func (w *World) LinkKeys() string { return w.keyFile("link-keys") }

// WebhookKeys is a file of keys for the secrets of webhooks.
func (w *World) WebhookKeys() string { return w.keyFile("webhook-keys") }

func (w *World) keyFile(name string) string {
	w.T.Helper()
	keys := filepath.Join(w.Dir, name)
	if err := os.WriteFile(keys, []byte(linkKeys), 0o600); err != nil {
		w.T.Fatal(err)
	}
	return keys
}

// WebhookFlags are those of a webhook service that may call this machine.
func (w *World) WebhookFlags() []string {
	w.T.Helper()
	return []string{"--webhook-keys", w.WebhookKeys(), "--webhook-loopback", "--api-url", "http://127.0.0.1/"}
}

// Webhook is the nth instance of the webhook service.
func (w *World) Webhook(n int) *Keeper {
	w.T.Helper()
	return w.Keep(fmt.Sprintf("webhook-%d", n), "webhook", w.WebhookFlags()...)
}

// Groups are everybody who must have come to an end.
func Groups() []string {
	return []string{"customer", "billing", "notification", "mail", "mail-mailer", "webhook", "webhook-sender"}
}

// Services are the binaries as they are deployed, the customer service twice.
func (w *World) Services() []*Keeper {
	return []*Keeper{
		w.Keep("customer-1", "customer"), w.Keep("customer-2", "customer"), w.Keep("billing-1", "billing"),
		w.Keep("notification-1", "notification"), w.Webhook(1),
		w.Keep("mail-1", "mail", "--mail-dir", filepath.Join(w.Dir, "mails"), "--link-keys", w.LinkKeys(),
			"--mail-from", "utopia@example.org", "--base-url", "http://127.0.0.1/"),
	}
}

// StartAll starts the keepers. The returned function lets everybody live unharmed, calls settled, and stops them in order.
func (w *World) StartAll(keepers []*Keeper, seed uint64) (stop func(settled func())) {
	harmful, endHarm := context.WithCancel(w.T.Context())
	unharmed, end := context.WithCancel(w.T.Context())
	var all sync.WaitGroup
	for i, k := range keepers {
		random := rand.New(rand.NewPCG(seed, uint64(10+i))) //nolint:gosec // a small number
		all.Go(func() { k.Run(unharmed, harmful, random) })
	}
	w.T.Cleanup(func() { endHarm(); end(); all.Wait() })
	return func(settled func()) {
		endHarm()
		for _, k := range keepers {
			k.Resume()
			k.endRival()
			if k.Doomed() { // a life that is still to end at some point is ended now
				k.Kill()
			}
		}
		settled()
		end()
		all.Wait()
	}
}

// Live starts keepers that nobody harms. The returned function stops them in order.
func (w *World) Live(keepers ...*Keeper) (stop func()) {
	unharmed, end := context.WithCancel(w.T.Context())
	harmless, over := context.WithCancel(unharmed)
	over()
	var all sync.WaitGroup
	for i, k := range keepers {
		random := rand.New(rand.NewPCG(1, uint64(i))) //nolint:gosec // a small number
		all.Go(func() { k.Run(unharmed, harmless, random) })
	}
	stop = func() { end(); all.Wait() }
	w.T.Cleanup(stop)
	return stop
}

// KillUntil kills at random times until there were enough deaths.
func (w *World) KillUntil(ctx context.Context, keepers []*Keeper, random *rand.Rand, atLeast int) {
	w.T.Helper()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(500+random.IntN(2500)) * time.Millisecond):
		}
		kills := 0
		for _, k := range keepers {
			kills += k.Deaths()
			if err := k.Failed(); err != nil {
				w.T.Fatalf("after %d kills: %v", kills, err)
			}
		}
		if kills >= atLeast {
			return
		}
		keepers[random.IntN(len(keepers))].Kill()
	}
}

// KillUnfinished kills an instance while the log has records of its transaction, which a kill at random may never meet.
func (w *World) KillUnfinished(k *Keeper) {
	w.T.Helper()
	w.Until(time.Minute, "an instance is killed with records of a transaction in the log", func() (bool, error) {
		if !k.PauseUnfinished(w.T.Context()) {
			return false, nil
		}
		k.Kill()
		return true, nil
	})
}
