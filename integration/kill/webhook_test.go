//go:build kill

package kill

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"utopia/integration/live"
	"utopia/integration/traffic"
	"utopia/topics"
)

// senderKills is how many senders must have died while they had changes to tell.
const senderKills = 12

// Senders of webhooks are killed while they tell changes, to receivers some of whose answers are errors. Every receiver hears of
// every change at least once, of a customer's in the order in which they were made, and everything is signed.
func TestKillsOfSendersLeaveNothingUntold(t *testing.T) {
	s := live.Seed(t, *seed)
	w := newWorld(t)
	stopServices := w.Live(w.Keep("customer-1", "customer"))
	senders := []*live.Keeper{w.Webhook(1), w.Webhook(2), w.Webhook(3)}
	stopKillers := w.StartAll(senders, s)
	var receivers []*receiver
	for _, payload := range []string{"thin", "delta", "state"} {
		receivers = append(receivers, newReceiver(t, w, "told-"+payload, payload))
	}

	sending, stopSending := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stopSending()
	sender, err := traffic.New(w.Client, w.IDs(), rand.New(rand.NewPCG(s, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(sending, 60) }()
	w.KillUntil(sending, senders, rand.New(rand.NewPCG(s, 2)), senderKills)
	stopSending()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stopKillers(func() {
		w.Settle(2*time.Minute, "customer", "webhook")
		changes := changesOf(t, w)
		t.Logf("%v until all had happened", time.Since(began).Round(time.Second))
		for _, r := range receivers {
			r.hears(t, w, changes)
		}
		t.Logf("%v until all was told", time.Since(began).Round(time.Second))
		w.Settle(time.Minute, "webhook-sender")
	})
	stopServices()
	kills := 0
	for _, k := range senders {
		kills += k.Deaths()
		for _, err := range k.Failures() {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", k.Name, live.Tail(k.Log))
		}
	}
	if kills < senderKills {
		t.Errorf("%d kills, want at least %d", kills, senderKills)
	}
	t.Logf("%d kills of senders", kills)
	w.Check(false, senders[0].Log, senders[1].Log, senders[2].Log)
}

// changesOf are the ids that all committed changes of customers are told by.
func changesOf(t *testing.T, w *live.World) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for line := range strings.Lines(w.CLI("consume", topics.CustomerChanges.Name, "-o", "json")) {
		var r struct {
			Key   string `json:"key"`
			Value struct {
				Version int64 `json:"version"`
			} `json:"value"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Value.Version == 0 {
			t.Fatalf("%v: %s", err, line)
		}
		all[fmt.Sprintf("%s/%d", strings.ReplaceAll(r.Key, ".", "%2E"), r.Value.Version)] = true
	}
	return all
}

// receiver is somebody who is told, and whose answer is now and then an error.
type receiver struct {
	secret []byte

	mu      sync.Mutex
	calls   int
	newest  map[string]int64 // customer: version
	heard   map[string]int   // by id
	refused int
	wrong   []string
}

func newReceiver(t *testing.T, w *live.World, name, payload string) *receiver {
	t.Helper()
	r := &receiver{newest: map[string]int64{}, heard: map[string]int{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	w.CLI("webhook", "register", name, "--url", server.URL, "--payload", payload, "--webhook-keys", w.WebhookKeys(), "--timeout", "1m")
	secret := strings.TrimSpace(w.CLI("webhook", "secret", name, "--webhook-keys", w.WebhookKeys()))
	var err error
	if r.secret, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_")); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *receiver) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := in.Header.Get("Webhook-Id")
	mac := hmac.New(sha256.New, r.secret)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, in.Header.Get("Webhook-Timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); in.Header.Get("Webhook-Signature") != want {
		r.wrong = append(r.wrong, "a signature of "+id)
	}
	if r.calls++; r.calls%50 == 0 {
		r.refused++
		out.WriteHeader(http.StatusInternalServerError)
		return
	}
	var p struct {
		Data struct {
			ID      string `json:"id"`
			Version int64  `json:"version"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &p); err != nil || id != fmt.Sprintf("%s/%d", strings.ReplaceAll(p.Data.ID, ".", "%2E"), p.Data.Version) {
		r.wrong = append(r.wrong, fmt.Sprintf("%s tells %+v: %v", id, p.Data, err))
	}
	if r.heard[id]++; r.heard[id] == 1 {
		if p.Data.Version <= r.newest[p.Data.ID] {
			r.wrong = append(r.wrong, fmt.Sprintf("%s came after version %d", id, r.newest[p.Data.ID]))
		}
		r.newest[p.Data.ID] = p.Data.Version
	}
}

// hears waits until everything that must be told has been, and says what was wrong.
func (r *receiver) hears(t *testing.T, w *live.World, changes map[string]bool) {
	t.Helper()
	var missing []string
	w.Until(2*time.Minute, fmt.Sprintf("a receiver hears of %d changes", len(changes)), func() (bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		missing = missing[:0]
		for id := range changes {
			if r.heard[id] == 0 {
				missing = append(missing, id)
			}
		}
		return len(missing) == 0, nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	again := 0
	for id, n := range r.heard {
		again += n - 1
		if !changes[id] {
			r.wrong = append(r.wrong, id+" never happened")
		}
	}
	t.Logf("%d changes told, %d told again, %d calls answered with an error", len(changes), again, r.refused)
	if again == 0 || r.refused == 0 {
		t.Error("nothing was told twice or nothing failed: this has tested too little")
	}
	for _, what := range r.wrong[:min(10, len(r.wrong))] {
		t.Error(what)
	}
}
