//go:build kill

package kill

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	limits "golang.org/x/time/rate"

	"utopia/integration/live"
)

const (
	// asked is how many commands a second the gateways are sent, as long as the machine can.
	asked = 1000
	// people are asked for three commands each.
	people = 3000
	// gatewayKills is how many gateways must have died while there were commands.
	gatewayKills = 10
)

// Gateways are killed while they have a thousand commands a second. Who gets no answer asks any of them again, with the same
// key: every request ends with an answer, and every command has one outcome, whoever tells it.
func TestKillsOfGatewaysChangeNoOutcome(t *testing.T) {
	s := live.Seed(t, *seed)
	w := newWorld(t)
	services := w.Services()
	stopServices := w.Live(services...)
	front, gateways := startGateways(t, w)
	stopGateways := w.Live(gateways...)

	killing, enough := context.WithCancel(t.Context())
	var killer sync.WaitGroup
	killer.Go(func() {
		random := mathrand.New(mathrand.NewPCG(s, 2))
		for {
			select {
			case <-killing.Done():
				return
			case <-time.After(time.Duration(250+random.IntN(700)) * time.Millisecond):
				gateways[random.IntN(len(gateways))].Kill()
			}
		}
	})
	began := time.Now()
	answers := front.live(t, s)
	took := time.Since(began)
	enough()
	killer.Wait()
	kills := 0
	for _, g := range gateways {
		kills += g.Deaths()
	}
	t.Logf("%d commands in %v, %d requests were sent again, %d were answered with a status URL, %d kills",
		len(answers), took.Round(time.Millisecond), front.again.Load(), front.later.Load(), kills)
	if kills < gatewayKills || front.again.Load() == 0 {
		t.Errorf("%d kills and %d requests that were sent again: this has tested too little", kills, front.again.Load())
	}
	w.Settle(2*time.Minute, live.Groups()...)
	front.agree(t, answers, mathrand.New(mathrand.NewPCG(s, 3)))
	links := front.confirm(t, w, mathrand.New(mathrand.NewPCG(s, 4)))
	w.Settle(2*time.Minute, live.Groups()...)
	stopGateways()
	stopServices()
	var logs []string
	for _, k := range append(services, gateways...) {
		logs = append(logs, k.Log)
		for _, err := range k.Failures() {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", k.Name, live.Tail(k.Log))
		}
	}
	kept(t, w, links)
	if counted := w.Check(false, logs...); counted["commands"] < int64(len(answers)) {
		t.Errorf("the checker has seen %d of %d commands", counted["commands"], len(answers))
	}
}

// front is all gateways as a caller sees them.
type front struct {
	urls   []string
	key    string
	client *http.Client

	again, later atomic.Int64
}

// startGateways makes three gateways that serve with TLS, to those who have the key.
func startGateways(t *testing.T, w *live.World) (*front, []*live.Keeper) {
	t.Helper()
	cert, key, authority := certificate(t)
	f := &front{key: rand.Text(), client: &http.Client{
		Timeout:   15 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 512},
	}}
	t.Cleanup(f.client.CloseIdleConnections)
	sum := sha256.Sum256([]byte(f.key))
	keys := filepath.Join(w.Dir, "api-keys")
	if err := os.WriteFile(keys, []byte("desk clerk "+hex.EncodeToString(sum[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all []*live.Keeper
	for n := range 3 {
		address := fmt.Sprintf("127.0.0.1:%d", w.FreePort())
		f.urls = append(f.urls, "https://"+address)
		all = append(all, w.KeepGateway(fmt.Sprintf("gateway-%d", n+1), "--listen", address, "--listen-cert", cert, "--listen-key", key,
			"--link-keys", w.LinkKeys(), "--api-keys", keys, "--rate", "0", "--public-rate", "0"))
	}
	return f, all
}

// answer is what a caller was told in the end.
type answer struct {
	method, path, body, command string
	status                      int
	version                     int64
}

// live lets people register, get another e-mail address, and be registered again, which is refused.
func (f *front) live(t *testing.T, seed uint64) []answer {
	t.Helper()
	const address = `"address":{"country":"NL","city":"Gouda","postCode":"2801 JG","street":["Markt 1"]}`
	limit := limits.NewLimiter(asked, asked/10)
	var mu sync.Mutex
	var answers []answer
	var all sync.WaitGroup
	const callers = 200
	for caller := range callers {
		random := mathrand.New(mathrand.NewPCG(seed, uint64(100+caller))) //nolint:gosec // a small number
		all.Go(func() {
			for n := caller; n < people; n += callers {
				id := fmt.Sprintf("c-%d", n)
				for i, one := range []struct{ path, body string }{
					{"/v1/customers/" + id, `{"name":"Ada","email":"` + id + `@example.org",` + address + `}`},
					{"/v1/customers/" + id + "/email", `{"email":"` + id + `@example.com"}`},
					{"/v1/customers/" + id, `{"name":"Eve","email":"` + id + `@example.net",` + address + `}`},
				} {
					if limit.Wait(t.Context()) != nil {
						return
					}
					a := answer{method: http.MethodPut, path: one.path, body: one.body, command: fmt.Sprintf("%s-%d", id, i)}
					if err := f.ask(t.Context(), &a, random); err != nil {
						t.Errorf("%s: %v", a.command, err)
						return
					}
					if want := []answer{{status: 200, version: 1}, {status: 200, version: 2}, {status: 409, version: 2}}[i]; a.status != want.status || a.version != want.version {
						t.Errorf("%s: %d, version %d, want %d, version %d", a.command, a.status, a.version, want.status, want.version)
					}
					mu.Lock()
					answers = append(answers, a)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return answers
}

// ask asks any gateway until one tells the outcome.
func (f *front) ask(ctx context.Context, a *answer, random *mathrand.Rand) error {
	var err error
	for limit := time.Now().Add(2 * time.Minute); time.Now().Before(limit); {
		if _, err = f.once(ctx, a, f.urls[random.IntN(len(f.urls))]); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.again.Add(1)
		time.Sleep(time.Duration(5+random.IntN(45)) * time.Millisecond)
	}
	return fmt.Errorf("no gateway has told the outcome: %w", err)
}

// once asks one gateway. An error says that it has not told an outcome.
func (f *front) once(ctx context.Context, a *answer, url string) (repeat bool, err error) {
	r, err := http.NewRequestWithContext(ctx, a.method, url+a.path, strings.NewReader(a.body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Authorization", "Bearer "+f.key)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", a.command)
	resp, err := f.client.Do(r)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	if resp.StatusCode == http.StatusAccepted {
		f.later.Add(1)
	}
	if resp.StatusCode == http.StatusAccepted || resp.StatusCode >= 500 { // every other one is an outcome, if not always the wanted one
		return false, fmt.Errorf("%d %s", resp.StatusCode, b)
	}
	var told struct {
		Version int64
		Repeat  bool
	}
	if err := json.Unmarshal(b, &told); err != nil {
		return false, err
	}
	a.status, a.version = resp.StatusCode, told.Version
	return told.Repeat, nil
}

// agree asks again for what is remembered: every gateway tells the first answer again.
func (f *front) agree(t *testing.T, answers []answer, random *mathrand.Rand) {
	t.Helper()
	for range 300 {
		was := answers[random.IntN(len(answers))]
		for _, url := range f.urls {
			is := was
			var repeat bool
			var err error
			w := time.Now().Add(time.Minute)
			for repeat, err = f.once(t.Context(), &is, url); err != nil && time.Now().Before(w); repeat, err = f.once(t.Context(), &is, url) {
				time.Sleep(50 * time.Millisecond) // it may be starting
			}
			if err != nil || !repeat || is != was {
				t.Errorf("%s was answered with %+v, and now with %+v (repeat %v) %v", was.command, was, is, repeat, err)
				return
			}
		}
	}
}

// confirm lets people move and post the links of their mails. It returns the links.
func (f *front) confirm(t *testing.T, w *live.World, random *mathrand.Rand) (links []string) {
	t.Helper()
	const moving = 20
	for n := range moving {
		id := fmt.Sprintf("c-%d", n)
		a := answer{
			method: http.MethodPost, path: "/v1/customers/" + id + "/address-changes", command: id + "-move",
			body: `{"reason":"moved","address":{"country":"NL","city":"Delft","postCode":"2611 AA","street":["Markt 2"]}}`,
		}
		if err := f.ask(t.Context(), &a, random); err != nil || a.status != http.StatusOK {
			t.Fatalf("%s does not move: %d %v", id, a.status, err)
		}
	}
	for n := range moving {
		id, link := fmt.Sprintf("c-%d", n), ""
		w.Until(time.Minute, "the mail to "+id, func() (bool, error) {
			link = live.NewestLink(filepath.Join(w.Dir, "mails"), "confirm_address_change", id+"@example.com")
			return link != "", nil
		})
		a := answer{method: http.MethodPost, path: "/v1/confirmations", body: `{"token":"` + link + `"}`, command: id + "-confirm"}
		if err := f.ask(t.Context(), &a, random); err != nil || a.status != http.StatusOK {
			t.Errorf("%s cannot confirm: %d %v", id, a.status, err)
		}
		links = append(links, link)
	}
	return links
}

// kept looks for the secrets of links in everything that is kept: topics, local states, logs. Only the mails have them.
func kept(t *testing.T, w *live.World, links []string) {
	t.Helper()
	var secrets [][]byte
	for _, link := range links {
		secrets = append(secrets, []byte(link[strings.LastIndex(link, ".")+1:])) // the signature
	}
	looked := 0
	look := func(where string, b []byte) {
		looked += len(b)
		for i, secret := range secrets {
			if bytes.Contains(b, secret) {
				t.Errorf("%s has the secret of link %d", where, i)
			}
		}
	}
	err := filepath.WalkDir(w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".eml" {
			return err
		}
		b, err := os.ReadFile(path)
		look(path, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked == 0 {
		t.Error("there are neither states nor logs")
	}
	ends, err := w.Admin.ListEndOffsets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]map[int32]kgo.Offset{}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]kgo.Offset{}
		}
		from[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
		left += o.Offset
	})
	reader, err := kgo.NewClient(append(w.Options(), kgo.ConsumePartitions(from), kgo.KeepControlRecords())...)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for left > 0 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			look(r.Topic, r.Key)
			look(r.Topic, r.Value)
			for _, h := range r.Headers {
				look(r.Topic, h.Value)
			}
			if r.Offset+1 == ends[r.Topic][r.Partition].Offset {
				left -= r.Offset + 1
			}
		})
	}
	if left > 0 {
		t.Errorf("%d records were not looked at", left)
	}
	t.Logf("%d secrets are in none of %d bytes", len(secrets), looked)
}

// certificate makes a certificate for loopback that is its own authority.
func certificate(t *testing.T) (cert, key string, authority *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority = x509.NewCertPool()
	authority.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, authority
}
