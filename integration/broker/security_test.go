//go:build broker

package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/integration/kafka"
	"utopia/integration/live"
	"utopia/topics"
)

const password = "every user's password in this test"

// secured is a cluster with TLS, SASL/SCRAM and access control.
type secured struct {
	*kafka.Cluster
	admin *live.World // as the super user
}

// as is the world of a principal.
func (s *secured) as(t *testing.T, user string) *live.World {
	t.Helper()
	return s.login(t, user, password)
}

func (s *secured) login(t *testing.T, user, password string) *live.World {
	t.Helper()
	login, err := s.As(user, password)
	if err != nil {
		t.Fatal(err)
	}
	w := &live.World{T: t, Dir: t.TempDir(), Bin: binaries, Brokers: s.Brokers(), Registry: registry, Login: login}
	w.Extra = []string{"UTOPIA_TLS=true", "UTOPIA_TLS_CA=" + s.CA(), "UTOPIA_SASL=scram-sha-512", "UTOPIA_SASL_USER=" + user, "UTOPIA_SASL_PASSWORD=" + password}
	return w
}

// users makes users with the one password.
func (s *secured) users(t *testing.T, names ...string) {
	t.Helper()
	s.passwords(t, password, names...)
}

// passwords gives users that exist, or do not yet, a password.
func (s *secured) passwords(t *testing.T, word string, names ...string) {
	t.Helper()
	var all []kadm.UpsertSCRAM
	for _, name := range names {
		all = append(all, kadm.UpsertSCRAM{User: name, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: word})
	}
	altered, err := s.admin.Admin.AlterUserSCRAMs(context.WithoutCancel(t.Context()), nil, all)
	if err == nil {
		err = altered.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// right is one line of a file of rights.
type right struct {
	Operation, Resource, Name string
	Prefix                    bool
}

func (r right) line() string {
	name := r.Name
	if r.Prefix {
		name += "*"
	}
	return strings.ToLower(fmt.Sprintf("%s %s ", strings.ReplaceAll(r.Operation, "_", "-"), strings.ReplaceAll(r.Resource, "_", "-"))) + name
}

// rights are what a binary's file says it needs.
func rights(w *live.World, name string) []right {
	w.T.Helper()
	var all []struct{ Rights []right }
	if err := json.Unmarshal([]byte(w.CLI("acl", "list", name, "-o", "json")), &all); err != nil || len(all) != 1 || len(all[0].Rights) < 5 {
		w.T.Fatalf("%v: %+v", err, all)
	}
	return all[0].Rights
}

// Each binary and each kind of outsider works with the rights in its file and no others, over TLS and with a password.
func TestLeastPrivilege(t *testing.T) {
	s := &secured{Cluster: kafka.Start(t, kafka.Options{
		Secure: true, Properties: map[string]string{"connections.max.reauth.ms": fmt.Sprint(oftenLoggedIn.Milliseconds())},
	})}
	s.admin = s.login(t, kafka.Admin, s.AdminPassword())
	s.admin.SetUp(sizes(1)...)
	outsiders := []string{topics.CRM, topics.Producers, topics.Consumers, topics.Operators}
	everybody := append(ourselves(), outsiders...)
	s.users(t, everybody...)
	files := []string{"acl", "apply", "../../cmd/utopia/outsiders.acl"}
	for _, name := range ourselves() {
		files = append(files, "../../cmd/"+name+"/rights.acl")
	}
	t.Log(lastLine(s.admin.CLI(files...)))
	if again := s.admin.CLI(files...); !strings.HasPrefix(again, "0 granted") {
		t.Errorf("what was granted is granted again:\n%s", again)
	}
	t.Run("everybody works", func(t *testing.T) { worksWithItsRights(t, s) })
	t.Run("nobody reads what is private", func(t *testing.T) { privateIsPrivate(t, s, everybody) })
	t.Run("nobody takes another's transactional id", func(t *testing.T) { idsAreOwn(t, s) })
	t.Run("wrong password, wrong authority", func(t *testing.T) { wrongLogin(t, s) })
	t.Run("rights are taken away and given back", func(t *testing.T) { rightsComeAndGo(t, s) })
	t.Run("a password changes", func(t *testing.T) { passwordChanges(t, s) })
	t.Run("no binary works without any one of its rights", func(t *testing.T) { failsWithoutEach(t, s) })
}

// ourselves are the principals of our binaries.
func ourselves() []string { return append(topics.Services(), topics.Gateway) }

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// worksWithItsRights runs the flow of an address change, everybody as the principal that they should be.
func worksWithItsRights(t *testing.T, s *secured) {
	t.Helper()
	var running []*live.Process
	mailer := s.as(t, topics.Mail)
	keys := mailer.LinkKeys()
	mails := filepath.Join(mailer.Dir, "mails")
	running = append(running, mailer.Spawn("mail-1", "mail", mailFlags(mails, keys)...))
	for _, name := range []string{topics.Billing, topics.Notification} {
		running = append(running, s.as(t, name).Spawn(name+"-1", name))
	}
	customer := s.as(t, topics.Customer)
	query := fmt.Sprintf("127.0.0.1:%d", customer.FreePort())
	customer.Extra = append(customer.Extra, "UTOPIA_CUSTOMER_QUERY_KEY=the key")
	running = append(running, customer.Spawn("customer-1", "customer", "--query-listen", query))
	hooks := s.as(t, topics.Webhook)
	running = append(running, hooks.Spawn("webhook-1", "webhook", hooks.WebhookFlags()...))
	s.admin.With(t).Settle(3*time.Minute, live.Groups()...)
	gateway := s.gateway(t, "--customer-query", "http://"+query)
	running = append(running, gateway.Process)
	producer, consumer, source := s.as(t, topics.Producers), s.as(t, topics.Consumers), s.as(t, topics.CRM)
	address := []string{"--country", "NL", "--city", "Gouda", "--postcode", "2801 JG", "--street", "Markt 1"}
	producer.CLI(append([]string{"customer", "register", "acl-1", "--name", "Ada", "--email", "ada@example.org"}, address...)...)
	producer.CLI("customer", "move", "acl-1", "--country", "DE", "--postcode", "10115", "--city", "Berlin", "--street", "Invalidenstr. 117")
	link := ""
	producer.Until(2*time.Minute, "the mail with the link", func() (bool, error) {
		link = live.NewestLink(mails, "confirm_address_change", "ada@example.org")
		return link != "", nil
	})
	told := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.Header.Get("Webhook-Id") }))
	defer receiver.Close()
	operator := s.as(t, topics.Operators)
	operator.CLI("webhook", "register", "w-1", "--url", receiver.URL, "--payload", "state", "--webhook-keys", hooks.WebhookKeys())
	operator.CLI("webhook", "get", "w-1", "--after", "webhook/w-1@1")
	producer.CLI("customer", "confirm", "--link-keys", keys, "--token", link)
	producer.CLI("billing", "issue", "acl-1", "--invoice", "i-1", "--amount", "12.50", "--currency", "EUR", "--text", "Compiler")
	source.CLI(append([]string{"crm", "publish", "acl-1", "--source", "registry-office"}, address...)...)
	consumer.CLI("customer", "wait", "customer/acl-1@4", "--timeout", "2m")
	for _, one := range []struct{ args, want string }{
		{"customer get acl-1 --after customer/acl-1@4", "Gouda"}, {"customer history acl-1", "CustomerMoved"}, {"billing get acl-1", "i-1"},
	} {
		if got := consumer.CLI(strings.Fields(one.args)...); !strings.Contains(got, one.want) {
			t.Errorf("%s does not say %q:\n%s", one.args, one.want, got)
		}
	}
	gateway.serves(t)
	select {
	case id := <-told:
		if id != "acl-1/3" {
			t.Errorf("the first change that is told is %s", id)
		}
	case <-time.After(time.Minute):
		t.Error("no change is told")
	}
	gateway.decides(t, s)
	operator.CLI("consume", topics.CustomerCommands.DLQ().Name)
	s.admin.With(t).Settle(2*time.Minute, live.Groups()...)
	for _, p := range running {
		p.Stop()
	}
	t.Log(s.as(t, topics.Customer).Command("customer", "rebuild", "--check"))
}

func mailFlags(mails, keys string) []string {
	return []string{"--mail-dir", mails, "--link-keys", keys, "--mail-from", "utopia@example.org", "--base-url", "http://127.0.0.1/"}
}

func privateIsPrivate(t *testing.T, s *secured, everybody []string) {
	t.Helper()
	refused := 0
	for _, name := range everybody {
		private := map[string]map[int32]kgo.Offset{}
		for _, topic := range topics.All() {
			if topic.Private() && topic.Owner != name {
				private[topic.Name] = map[int32]kgo.Offset{0: kgo.NewOffset().At(0)}
			}
		}
		said := fetch(t, s.as(t, name), private)
		for topic := range private {
			if !errors.Is(said[topic], kerr.TopicAuthorizationFailed) {
				t.Errorf("%s reads %s: %v", name, topic, said[topic])
			}
			refused++
		}
	}
	t.Logf("%d attempts were refused", refused)
	if refused < 50 {
		t.Error("which are too few")
	}
}

// fetch reads the beginning of topics as anybody could, and returns what the broker said to it, by topic. A topic of which nothing
// was heard has no error.
func fetch(t *testing.T, w *live.World, from map[string]map[int32]kgo.Offset) map[string]error {
	t.Helper()
	client, err := kgo.NewClient(append(w.Options(), kgo.ConsumePartitions(from), kgo.KeepRetryableFetchErrors())...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	said := map[string]error{}
	for len(said) < len(from) && ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(topic string, _ int32, err error) {
			if topic != "" {
				said[topic] = err
			}
		})
		fetches.EachRecord(func(r *kgo.Record) { said[r.Topic] = nil })
	}
	return said
}

func idsAreOwn(t *testing.T, s *secured) {
	t.Helper()
	for _, one := range []struct {
		user, id string
		refused  bool
	}{{topics.Billing, "customer-1", true}, {topics.Producers, "customer-1", true}, {topics.Billing, "billing-1", false}} {
		client, err := kgo.NewClient(s.as(t, one.user).Options()...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		request := kmsg.NewPtrInitProducerIDRequest()
		request.TransactionalID, request.TransactionTimeoutMillis, request.ProducerID, request.ProducerEpoch = kmsg.StringPtr(one.id), 10_000, -1, -1
		response, err := request.RequestWith(t.Context(), client)
		if err == nil {
			err = kerr.ErrorForCode(response.ErrorCode)
		}
		if one.refused != errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
			t.Errorf("%s takes %s: %v", one.user, one.id, err)
		}
	}
}

// wrongLogin: who cannot log in is told why, at once.
func wrongLogin(t *testing.T, s *secured) {
	t.Helper()
	wrong := s.login(t, topics.Producers, "another password")
	strange := s.as(t, topics.Producers)
	strange.Extra[1] = "UTOPIA_TLS_CA=" // the system's authorities, which do not know this one
	for words, w := range map[string]*live.World{"SASL": wrong, "certificate": strange} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(w.Bin, "utopia"), "topics", "check")
		cmd.Env = w.Environment()
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), words) {
			t.Errorf("%v; it does not say %q:\n%s", err, words, out)
		}
	}
}

// failsWithoutEach starts every binary once for each of its rights, as a principal that has all but that one.
func failsWithoutEach(t *testing.T, s *secured) {
	t.Helper()
	type variant struct {
		user, binary string
		lacks        right
	}
	var variants []variant
	var users []string
	var file strings.Builder
	for _, binary := range ourselves() {
		all := rights(s.admin.With(t), binary)
		for i, lacks := range all {
			v := variant{fmt.Sprintf("%s-without-%d", binary, i), binary, lacks}
			variants, users = append(variants, v), append(users, v.user)
			fmt.Fprintf(&file, "principal User:%s\n", v.user)
			for _, r := range slices.Delete(slices.Clone(all), i, i+1) {
				fmt.Fprintln(&file, r.line())
			}
		}
	}
	s.users(t, users...)
	path := filepath.Join(t.TempDir(), "variants.acl")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.admin.With(t).CLI("acl", "apply", path)
	var all sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, v := range variants {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			mustFail(t, s.as(t, v.user), v.binary, v.lacks)
		})
	}
	all.Wait()
	t.Logf("%d binaries, each without one right", len(variants))
}

// mustFail runs a binary that lacks a right, and expects it to say which.
func mustFail(t *testing.T, w *live.World, binary string, lacks right) {
	t.Helper()
	args := []string{"run", "--state-dir", filepath.Join(w.Dir, "state"), "--http", ""}
	if binary == topics.Gateway {
		args = append(args, gatewayFlags("127.0.0.1:0", w.LinkKeys())...)
	} else {
		args = append(args, "--instance", "lacking", "--dev")
	}
	if binary == topics.Mail {
		args = append(args, mailFlags(filepath.Join(w.Dir, "mails"), w.LinkKeys())...)
	}
	if binary == topics.Webhook {
		args = append(args, w.WebhookFlags()...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.Bin, binary), args...)
	cmd.Env = w.Environment()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	want := lacks.line()
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), want) {
		t.Errorf("%s without the right to %s: %v; it does not say %q:\n%s", binary, lacks.line(), err, want, out)
	}
}
