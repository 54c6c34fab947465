package integration_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's directory, seen from here.
const root = ".."

// arrow forbids packages to depend on others, also through others in between. Patterns are import paths; one that ends
// with /... covers everything below. The linter checks direct imports; this is what it cannot see.
type arrow struct {
	from, to []string
	except   []string // allowed all the same
	why      string
}

func arrows() []arrow {
	cores := []string{"utopia/processors/customer", "utopia/processors/billing", "utopia/processors/mail", "utopia/processors/notification", "utopia/processors/webhook"}
	binaries := []string{"utopia/cmd/customer", "utopia/cmd/billing", "utopia/cmd/notification", "utopia/cmd/mail", "utopia/cmd/gateway", "utopia/cmd/webhook"}
	all := []arrow{
		{from: []string{"utopia/topics"}, to: []string{"utopia/...", "github.com/...", "golang.org/..."}, why: "data about Kafka needs nothing"},
		{from: []string{"utopia/schemas"}, to: []string{"utopia/..."}, why: "the contract knows nobody who keeps it"},
		{
			from: []string{"utopia/processors/postal"}, to: []string{"utopia/..."}, except: []string{"utopia/processors/refusal"},
			why: "what an address is does not depend on what is done with it",
		},
		{
			from: []string{"utopia/processors/eos", "utopia/processors/ask"},
			to:   []string{"utopia/processors", "utopia/cmd/...", "utopia/integration/..."}, why: "arrows point down",
		},
		{
			from: append([]string{"utopia/processors"}, cores...),
			to:   []string{"utopia/cmd/...", "utopia/integration/..."}, why: "arrows point down",
		},
		{
			from: []string{"utopia/processors/ask", "utopia/schemas", "utopia/topics"}, to: []string{"github.com/lovoo/goka/...", "github.com/IBM/sarama/..."},
			why: "only processors and processors/eos know Goka: who asks must not need it",
		},
		{from: []string{"utopia/cmd/..."}, to: []string{"utopia/integration/..."}, why: "the product does not contain its tests"},
		{
			from: binaries, to: []string{"github.com/twmb/franz-go/pkg/kfake", "utopia/cmd/internal/demo", "utopia/cmd/internal/sample"},
			why: "what is deployed against a cluster contains neither a broker nor a demo",
		},
		{
			from: []string{"utopia/cmd/internal/pages"},
			to:   []string{"utopia/cmd/internal/system", "utopia/cmd/internal/demo", "utopia/cmd/internal/sample", "github.com/twmb/franz-go/pkg/kfake"},
			why:  "a gateway mounts the pages too, and they ask through interfaces",
		},
		{
			from: []string{"utopia/integration/check/..."}, to: []string{"utopia/..."}, except: []string{"utopia/integration/check/..."},
			why: "a checker that shares code with what it checks shares its mistakes",
		},
		{
			from: []string{"utopia/..."}, to: []string{"github.com/stretchr/testify/..."},
			why: "we compare with go-cmp",
		},
	}
	for _, core := range cores {
		others := slices.DeleteFunc(slices.Clone(cores), func(c string) bool { return c == core })
		all = append(all,
			arrow{from: []string{core}, to: others, why: "services know each other's public schemas, never each other's rules"},
			arrow{
				from: []string{core}, to: []string{"utopia/schemas", "utopia/topics", "utopia/processors/eos", "utopia/processors/ask", "github.com/twmb/...", "github.com/lovoo/..."},
				why: "a core is decided without I/O, encoding or Kafka",
			})
	}
	return all
}

func matches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		below, tree := strings.CutSuffix(p, "/...")
		return path == below || tree && strings.HasPrefix(path, below+"/")
	})
}

// dependencies is every package of the module with everything it is built from.
func dependencies(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	deps := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		deps[words[0]] = words[1:]
	}
	if len(deps) < 10 {
		t.Fatalf("go list names only %d packages", len(deps))
	}
	return deps
}

func TestArrowsPointDown(t *testing.T) {
	t.Parallel()
	deps := dependencies(t)
	for _, a := range arrows() {
		for from, on := range deps {
			if !matches(a.from, from) {
				continue
			}
			for _, to := range on {
				if to != from && matches(a.to, to) && !matches(a.except, to) {
					t.Errorf("%s depends on %s: %s", from, to, a.why)
				}
			}
		}
	}
}

// An arrow about a package that does not exist forbids nothing.
func TestEveryArrowStartsSomewhere(t *testing.T) {
	t.Parallel()
	deps := dependencies(t)
	for _, a := range arrows() {
		for _, from := range a.from {
			found := false
			for path := range deps {
				found = found || matches([]string{from}, path)
			}
			if !found {
				t.Errorf("no package %s", from)
			}
		}
	}
}

// walk visits every file of the module that is not ignored.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".cache", "bin"}, d.Name()):
			return filepath.SkipDir
		case !d.IsDir():
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryPackageSaysOnceWhatItIsFor(t *testing.T) {
	t.Parallel()
	comments := map[string][]string{}
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
			return
		}
		dir := filepath.Dir(path)
		if _, ok := comments[dir]; !ok {
			comments[dir] = nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		if f.Doc != nil {
			comments[dir] = append(comments[dir], filepath.Base(path))
		}
	})
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("%s has %d package comments, in %q; want one", dir, len(files), files)
		}
	}
}

// What is committed is the same on every machine.
func TestNoFileNamesTheMachineItWasWrittenOn(t *testing.T) {
	t.Parallel()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	directory, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	walk(t, func(path string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		for _, name := range []string{home + "/", directory + "/"} {
			if len(name) > 3 && bytes.Contains(b, []byte(name)) {
				t.Errorf("%s contains %q", path, name)
			}
		}
	})
}
