package acl_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"utopia/cmd/internal/acl"
	"utopia/topics"
)

var update = flag.Bool("update", false, "write the files again")

func fileOf(name string) acl.File {
	return acl.File{Principal: acl.DefaultPrincipal(name), Rights: acl.Of(name)}
}

// The files beside the binaries say what follows from the catalogue, and are read back as they were printed.
func TestTheFilesSayWhatFollowsFromTheCatalogue(t *testing.T) {
	paths := map[string][]string{"../../utopia/outsiders.acl": {topics.CRM, topics.Producers, topics.Consumers, topics.Operators}}
	for _, name := range append(topics.Services(), topics.Gateway) {
		paths["../../"+name+"/rights.acl"] = []string{name}
	}
	for path, names := range paths {
		want := []byte("# What `utopia acl list " + strings.Join(names, " ") + "` prints; `utopia acl apply` reads it.\n")
		var files []acl.File
		for _, name := range names {
			var b bytes.Buffer
			if err := fileOf(name).Print(&b); err != nil {
				t.Fatal(err)
			}
			want, files = append(want, b.Bytes()...), append(files, fileOf(name))
		}
		if *update {
			if err := os.WriteFile(path, want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what follows from the catalogue; go test ./cmd/internal/acl -update: %s", path, diff)
		}
		parsed, err := acl.Parse(bytes.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(files, parsed); diff != "" {
			t.Errorf("%s read back: %s", path, diff)
		}
	}
}

func TestNobodyButItsOwnerReadsAPrivateTopic(t *testing.T) {
	private := 0
	for _, topic := range topics.All() {
		if !topic.Private() {
			continue
		}
		private++
		for _, name := range acl.Names() {
			has := slices.ContainsFunc(acl.Of(name), func(r acl.Right) bool {
				return r.Resource == kmsg.ACLResourceTypeTopic && r.Operation == kmsg.ACLOperationRead &&
					(r.Name == topic.Name || r.Prefix && strings.HasPrefix(topic.Name, r.Name))
			})
			if has && name != topic.Owner {
				t.Errorf("%s may read %s: %v", name, topic.Name, has)
			}
		}
	}
	if private == 0 {
		t.Fatal("no topic is private")
	}
}

func TestParseNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"read topic a":                            "line 1: no line above it says whose right it is",
		"principal customer":                      "line 1: want principal User:NAME",
		"principal User:a\n\nread topic":          "line 3: want OPERATION RESOURCE NAME",
		"principal User:a\nlook topic a":          "line 2: ",
		"principal User:a\nread thing a":          "line 2: ",
		"principal User:a\nread topic *  # every": `line 2: "*" would be everything`,
	} {
		if _, err := acl.Parse(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// What was granted is not missing any more, and applies to that principal alone.
func TestGrantedOnce(t *testing.T) {
	c := kfake.MustCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "secret"), kfake.Superuser("PLAIN", "customer", "secret"))
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.SASL(plain.Auth{User: "root", Pass: "secret"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	f := fileOf(topics.Customer)
	missing, err := acl.Missing(t.Context(), client, f)
	if err != nil || len(missing) != len(f.Rights) || len(missing) < 20 {
		t.Fatalf("%d of %d missing: %v", len(missing), len(f.Rights), err)
	}
	if err := acl.Grant(t.Context(), client, f.Principal, missing); err != nil {
		t.Fatal(err)
	}
	if missing, err = acl.Missing(t.Context(), client, f); err != nil || len(missing) != 0 {
		t.Fatalf("missing after it was granted: %v, %v", missing, err)
	}
	f.Principal = "User:somebody-else"
	if missing, err = acl.Missing(t.Context(), client, f); err != nil || len(missing) != len(f.Rights) {
		t.Fatalf("somebody else lacks %d of %d: %v", len(missing), len(f.Rights), err)
	}
	described, err := kadm.NewClient(client).DescribeACLs(t.Context(), kadm.NewACLs().TransactionalIDs("customer-").ResourcePatternType(kadm.ACLPatternAny).Allow().AllowHosts().Deny().DenyHosts().Operations())
	if err != nil || len(described) == 0 {
		t.Fatalf("%v, %v", described, err)
	}
	if got := fmt.Sprint(described[0].Described[0].Pattern); got != "PREFIXED" {
		t.Errorf("the transactional id is %s", got)
	}
}
