//go:build browser

package browser

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// system is `utopia up` as a person starts it.
type system struct {
	t                           *testing.T
	binary                      string
	broker, registry, http, key string
	webhookKeys                 string
}

func up(t *testing.T, more ...string) *system {
	t.Helper()
	s := &system{t: t, binary: filepath.Join(t.TempDir(), "utopia")}
	if out, err := exec.Command("go", "build", "-o", s.binary, "../../cmd/utopia").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command(s.binary, append([]string{"up", "--kafka-port", "0", "--registry-port", "0", "--http-port", "0"}, more...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("utopia up: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	for s.webhookKeys == "" && lines.Scan() {
		for name, value := range map[string]*string{"Kafka": &s.broker, "registry": &s.registry, "HTTP": &s.http, "link keys": &s.key, "webhooks": &s.webhookKeys} {
			if m := regexp.MustCompile(`^\s*` + name + `\s+(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
				*value = m[1]
			}
		}
	}
	if s.webhookKeys == "" {
		t.Fatal("utopia up did not say where it is")
	}
	go func() {
		for lines.Scan() { // what else it says
		}
	}()
	return s
}

// utopia runs the command line against the system.
func (s *system) utopia(args ...string) {
	s.t.Helper()
	args = append(args, "--brokers", s.broker, "--registry", s.registry)
	if out, err := exec.CommandContext(s.t.Context(), s.binary, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("utopia %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

type mail struct {
	ID      int
	Subject string
	Text    string
}

// mails are those to an address, oldest first.
func (s *system) mails(to string) []mail {
	s.t.Helper()
	var list []mail
	s.json("/dev/mail/mails?to="+url.QueryEscape(to), &list)
	return list
}

func (s *system) json(path string, into any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.http+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
}

// awaitMail waits for the nth mail to an address whose subject has the word in it, and returns its links.
func (s *system) awaitMail(to, word string, nth int) (m mail, links []string) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		all := slices.DeleteFunc(s.mails(to), func(m mail) bool { return !strings.Contains(m.Subject, word) })
		if len(all) >= nth {
			m = all[nth-1]
			s.json("/dev/mail/mails/"+strconv.Itoa(m.ID), &m)
			return m, regexp.MustCompile(`http://\S+/confirm#\S+`).FindAllString(m.Text, -1)
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("no mail number %d to %s with %q", nth, to, word)
	return mail{}, nil
}
