package gateway

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/matrix.txt again")

// Who may do what, asked of every route as every role: the answers are in testdata/matrix.txt, where a change is seen.
func TestWhoMayDoWhat(t *testing.T) {
	var lines []string
	for _, role := range Roles() {
		customer := ""
		if role == CustomerRole {
			customer = "c-1"
		}
		lines = append(lines, KeyLine(string(role), role, customer, "key-of-"+string(role)))
	}
	keys, err := ParseKeys(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	g := Bare(t, func(c *Config) { c.Keys = keys })
	var b strings.Builder
	columns := append([]Role{"nobody"}, Roles()...)
	fmt.Fprintf(&b, "%-7s %-62s", "method", "path")
	for _, role := range columns {
		fmt.Fprintf(&b, " %-8s", role)
	}
	b.WriteString(" another customer\n")
	routes := 0
	paths := g.api.OpenAPI().Paths
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, op := range operations(paths[path]) {
			routes++
			fmt.Fprintf(&b, "%-7s %-62s", op.Method, path)
			target := strings.NewReplacer("{id}", "c-1", "{change}", "x", "{invoice}", "i", "{name}", "n", "{topic}", "a.dlq", "{partition}", "0", "{offset}", "0").Replace(path)
			if strings.HasPrefix(path, "/v1/feeds/") {
				target += "?customer=c-1"
			}
			for _, role := range columns {
				fmt.Fprintf(&b, " %-8s", verdict(t, g, op.Method, target, role))
			}
			other := strings.Replace(target, "c-1", "c-2", 1)
			fmt.Fprintf(&b, " %s\n", verdict(t, g, op.Method, other, CustomerRole))
		}
	}
	if routes != len(g.policy) {
		t.Errorf("%d routes, %d in the policy", routes, len(g.policy))
	}
	const file = "testdata/matrix.txt"
	got := strings.ReplaceAll(b.String(), " \n", "\n")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("go test ./cmd/internal/gateway -run WhoMayDoWhat -update, if this is meant (-want +got):\n%s", diff)
	}
}

// verdict is whether a role gets beyond the policy. Nothing behind it is run, so that what follows is another problem.
func verdict(t *testing.T, g *Gateway, method, path string, role Role) string {
	t.Helper()
	headers := []string{"Content-Type", "application/json"}
	if role != "nobody" {
		headers = append(headers, "Authorization", "Bearer key-of-"+string(role))
	}
	a := Local(t, g.Handler(), method, path, "", headers...)
	switch a.Status {
	case http.StatusUnauthorized:
		return "401"
	case http.StatusForbidden:
		return "403"
	}
	return "yes"
}

// Not even a row is needed to be refused: who may not know cannot tell an unknown customer from a known one.
func TestARefusedCallerLearnsNothing(t *testing.T) {
	keys, err := ParseKeys(strings.NewReader(KeyLine("ada", CustomerRole, "c-1", "key")))
	if err != nil {
		t.Fatal(err)
	}
	g := Bare(t, func(c *Config) { c.Keys = keys })
	one := Local(t, g.Handler(), http.MethodGet, "/v1/customers/c-2", "", "Authorization", "Bearer key")
	other := Local(t, g.Handler(), http.MethodGet, "/v1/customers/no-such", "", "Authorization", "Bearer key")
	if one.Status != http.StatusForbidden || one.Status != other.Status || string(one.Body) != string(other.Body) {
		t.Errorf("%d %s\n%d %s", one.Status, one.Body, other.Status, other.Body)
	}
}

func TestKeyFilesNameTheLine(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for text, want := range map[string]string{
		"a clerk":                  "line 1",
		"# fine\na clerk zz":       "line 2: ",
		"a chief " + hash:          "line 1: ",
		"a customer " + hash:       "line 1: ",
		"a clerk " + hash + " c-1": "line 1: ",
		"a clerk " + hash + "\nb operator " + hash + "\n": "line 2: this key is there twice",
		"a everybody " + hash:                             "line 1: ",
	} {
		if _, err := ParseKeys(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	k, err := ParseKeys(strings.NewReader("\n# comment\n" + KeyLine("ada", CustomerRole, "c-17", "secret") + " # hers\n"))
	if err != nil || k.Len() != 1 {
		t.Fatal(k.Len(), err)
	}
	if c, ok := k.caller("secret"); !ok || c != (Caller{Name: "ada", Role: CustomerRole, Customer: "c-17"}) {
		t.Errorf("%+v %v", c, ok)
	}
	if _, ok := k.caller("Secret"); ok {
		t.Error("another key is hers, too")
	}
}
