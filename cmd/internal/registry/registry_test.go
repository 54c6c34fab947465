package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"utopia/cmd/internal/registry"
	"utopia/schemas"
	"utopia/topics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A record that changes: v2 adds a field with a default, loose one without, narrow has another type for it.
const (
	v1     = `{"type":"record","name":"Row","namespace":"test","fields":[{"name":"id","type":"string"}]}`
	v2     = `{"type":"record","name":"Row","namespace":"test","fields":[{"name":"id","type":"string"},{"name":"n","type":"long","default":0}]}`
	v3     = `{"type":"record","name":"Row","namespace":"test","fields":[{"name":"id","type":"string"},{"name":"n","type":"long","default":0},{"name":"m","type":"long","default":0}]}`
	loose  = `{"type":"record","name":"Row","namespace":"test","fields":[{"name":"id","type":"string"},{"name":"x","type":"long"}]}`
	narrow = `{"type":"record","name":"Row","namespace":"test","fields":[{"name":"id","type":"string"},{"name":"n","type":"int","default":0}]}`
)

func open(t *testing.T, dir string, seeds ...registry.Seed) *registry.Registry {
	t.Helper()
	r, err := registry.New(registry.Options{Dir: dir, Seeds: append([]registry.Seed{}, seeds...)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func register(t *testing.T, r *registry.Registry, subject, text string) registry.Version {
	t.Helper()
	v, err := r.Register(subject, registry.Schema{Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func code(err error) int {
	var e *registry.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestOurSchemasAreThere(t *testing.T) {
	r, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	public := 0
	for _, topic := range topics.All() {
		for _, rev := range schemas.Revisions(topic.Name) {
			if topic.Private() != rev.Private() {
				t.Errorf("%s %s: one of them is private", topic.Name, rev.Record)
			}
			v, err := r.Lookup(rev.Subject(), registry.Schema{Text: rev.Schema}, false)
			if rev.Private() {
				if code(err) != 40401 {
					t.Errorf("%s: a private schema is in the registry", rev.Subject())
				}
				continue
			}
			public++
			if err != nil || v.Version != rev.Number {
				t.Errorf("%s revision %d: version %d (%v)", rev.Subject(), rev.Number, v.Version, err)
			}
		}
	}
	if public < 20 {
		t.Fatalf("%d public schemas", public)
	}
}

func TestOurPromisesAreKept(t *testing.T) {
	seeds := registry.Seeds()
	r := open(t, "", seeds...)
	subject := seeds[0].Subject
	if _, err := r.DeleteSubject(subject, false); code(err) != 42205 {
		t.Error(err)
	}
	if _, err := r.DeleteVersion(subject, 1, false); code(err) != 42205 {
		t.Error(err)
	}
	if _, err := r.SetLevel(subject, schemas.None); code(err) != 42205 {
		t.Error(err)
	}
	if _, err := r.SetLevel(subject, ""); code(err) != 42205 {
		t.Error(err)
	}
	if _, err := r.SetLevel("", schemas.None); err != nil { // the subject has a level of its own
		t.Error(err)
	}
	if _, err := r.Register(subject, registry.Schema{Text: v1}); code(err) != 409 {
		t.Error(err)
	}
}

func TestIDs(t *testing.T) {
	r := open(t, "")
	one := register(t, r, "a", v1)
	for name, got := range map[string]registry.Version{
		"again":              register(t, r, "a", v1),
		"in another layout":  register(t, r, "a", strings.ReplaceAll(v1, ",", ",\n ")),
		"with a full name":   register(t, r, "a", `{"name":"test.Row","type":"record","fields":[{"type":{"type":"string"},"name":"id"}]}`),
		"in another subject": register(t, r, "b", v1),
	} {
		if got.ID != one.ID || got.Version != 1 {
			t.Errorf("%s: id %d, version %d", name, got.ID, got.Version)
		}
	}
	if two := register(t, r, "a", v2); two.ID == one.ID || two.Version != 2 {
		t.Errorf("another schema: %+v", two)
	}
	documented := strings.Replace(v1, `"fields"`, `"doc":"a row","fields"`, 1)
	found, err := r.Lookup("a", registry.Schema{Text: documented}, false)
	if err != nil || found.ID != one.ID {
		t.Errorf("a text that differs in documentation only is not found: %+v %v", found, err)
	}
	if three := register(t, r, "a", documented); three.ID == one.ID || three.Version != 3 {
		t.Errorf("better documentation is not taken: %+v", three)
	}
	defaulted := strings.Replace(v2, `"default":0`, `"default":1`, 1)
	if four := register(t, r, "a", defaulted); four.Version != 4 {
		t.Errorf("another default is another schema: %+v", four)
	}
}

func TestIDsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	seeds := registry.Seeds()
	first := open(t, dir, seeds...)
	mine := register(t, first, "mine", v1)
	if _, err := first.SetLevel("mine", schemas.Full); err != nil {
		t.Fatal(err)
	}
	if _, err := first.SetMode("mine", "READONLY"); err != nil {
		t.Fatal(err)
	}
	ids := func(r *registry.Registry) map[string]int {
		all := map[string]int{}
		for _, s := range seeds {
			v, err := r.Lookup(s.Subject, registry.Schema{Text: s.Schema}, false)
			if err != nil {
				t.Fatal(err)
			}
			all[fmt.Sprintf("%s.%d", s.Subject, v.Version)] = v.ID
		}
		return all
	}
	want := ids(first)
	// The next release has its schemas in another order, and one more.
	more := append([]registry.Seed{{Subject: "new", Schema: v2, Level: schemas.Full}}, seeds...)
	second := open(t, dir, more...)
	if diff := cmp.Diff(want, ids(second)); diff != "" {
		t.Fatal(diff)
	}
	if got, err := second.Lookup("mine", registry.Schema{Text: v1}, false); err != nil || got.ID != mine.ID {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := second.Register("mine", registry.Schema{Text: v2}); code(err) != 42205 {
		t.Fatalf("the mode is forgotten: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatalf("%v %v", left, err)
	}
}

func TestADamagedFileIsNotReplaced(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":            "{",
		"another format":      `{"format":2}`,
		"no such level":       `{"format":1,"level":"SOME"}`,
		"a lost schema":       `{"format":1,"level":"FULL","nextId":2,"subjects":{"a":{"versions":[{"version":1,"id":1}],"last":1}}}`,
		"a schema that is no": `{"format":1,"level":"FULL","nextId":2,"schemas":{"1":{"schema":"{}"}}}`,
		"an id too high":      `{"format":1,"level":"FULL","nextId":1,"schemas":{"1":{"schema":"\"int\""}}}`,
		"an empty subject":    `{"format":1,"level":"FULL","nextId":1,"subjects":{"a":null}}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "registry.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := registry.New(registry.Options{Dir: dir}); !errors.Is(err, registry.ErrDamaged) {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != text {
				t.Fatalf("the file was changed: %s %v", b, err)
			}
		})
	}
}

// TestWhatCannotBeKeptIsNotShown: the directory goes away; the registry refuses and shows what it had.
func TestWhatCannotBeKeptIsNotShown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "r")
	r := open(t, dir)
	register(t, r, "a", v1)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Register("a", registry.Schema{Text: v2}); err == nil {
		t.Fatal("a schema was taken that cannot be kept")
	}
	if _, err := r.Lookup("a", registry.Schema{Text: v2}, false); code(err) != 40403 {
		t.Fatalf("a schema is shown that was not kept: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if v := register(t, r, "a", v2); v.Version != 2 || v.ID != 2 {
		t.Fatalf("%+v", v)
	}
}

func TestCompatibility(t *testing.T) {
	for name, tc := range map[string]struct {
		level schemas.Mode
		have  []string
		next  string
		ok    bool
	}{
		"BACKWARD: a new field with a default":          {schemas.Backward, []string{v1}, v2, true},
		"BACKWARD: a new field without":                 {schemas.Backward, []string{v1}, loose, false},
		"FORWARD: a new field without a default":        {schemas.Forward, []string{v1}, loose, true},
		"FORWARD: a field removed that had no default":  {schemas.Forward, []string{loose}, v1, false},
		"FULL: a new field with a default":              {schemas.Full, []string{v1}, v2, true},
		"FULL: a new field without":                     {schemas.Full, []string{v1}, loose, false},
		"BACKWARD: only the last version counts":        {schemas.Backward, []string{loose, v1}, v2, true},
		"BACKWARD: a narrower type":                     {schemas.Backward, []string{v2}, narrow, false},
		"FORWARD: a narrower type":                      {schemas.Forward, []string{v2}, narrow, true},
		"BACKWARD_TRANSITIVE: every version counts":     {schemas.BackwardTransitive, []string{v2, v1}, narrow, false},
		"BACKWARD, the same: only the last":             {schemas.Backward, []string{v2, v1}, narrow, true},
		"NONE: anything":                                {schemas.None, []string{v1}, `"int"`, true},
		"FULL_TRANSITIVE: a chain of additions":         {schemas.FullTransitive, []string{v1, v2}, v3, true},
		"FULL_TRANSITIVE: removing what has no default": {schemas.FullTransitive, []string{loose, loose}, v1, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, "")
			if _, err := r.SetLevel("s", schemas.None); err != nil {
				t.Fatal(err)
			}
			for _, text := range tc.have {
				register(t, r, "s", text)
			}
			if _, err := r.SetLevel("s", tc.level); err != nil {
				t.Fatal(err)
			}
			ok, problems, err := r.Compatible("s", 0, registry.Schema{Text: tc.next})
			if err != nil || ok != tc.ok || (len(problems) == 0) != tc.ok {
				t.Fatalf("%v %v %v", ok, problems, err)
			}
			_, err = r.Register("s", registry.Schema{Text: tc.next})
			if (err == nil) != tc.ok || (err != nil && code(err) != 409) {
				t.Fatal(err)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	r := open(t, t.TempDir())
	address := `{"type":"record","name":"Address","namespace":"test","fields":[{"name":"city","type":"string"}]}`
	person := `{"type":"record","name":"Person","namespace":"test","fields":[{"name":"at","type":"test.Address"}]}`
	register(t, r, "address", address)
	ref := []registry.Reference{{Name: "test.Address", Subject: "address", Version: 1}}
	if _, err := r.Register("person", registry.Schema{Text: person}); code(err) != 42201 {
		t.Fatalf("without the reference: %v", err)
	}
	got, err := r.Register("person", registry.Schema{Text: person, References: ref})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := r.Lookup("person", registry.Schema{Text: person, References: ref}, false); err != nil || found.ID != got.ID {
		t.Fatalf("%+v %v", found, err)
	}
	if _, err := r.DeleteSubject("address", false); code(err) != 42206 {
		t.Fatalf("what is referred to was deleted: %v", err)
	}
	// Compatibility looks through references: Address gets a field without a default.
	if _, err := r.SetLevel("address", schemas.None); err != nil {
		t.Fatal(err)
	}
	register(t, r, "address", strings.Replace(address, "}]", `},{"name":"zip","type":"string"}]`, 1))
	next := []registry.Reference{{Name: "test.Address", Subject: "address", Version: 2}}
	if ok, _, err := r.Compatible("person", -1, registry.Schema{Text: person, References: next}); ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	missing := []registry.Reference{{Name: "test.Address", Subject: "address", Version: 9}}
	if _, err := r.Register("person", registry.Schema{Text: person, References: missing}); code(err) != 42201 {
		t.Fatal(err)
	}
}

func TestDeletion(t *testing.T) {
	r := open(t, t.TempDir())
	one := register(t, r, "s", v1)
	register(t, r, "s", v2)
	step := func(name string, got any, err error, want any, wantCode int) {
		t.Helper()
		if diff := cmp.Diff(want, got); code(err) != wantCode || (err == nil && diff != "") {
			t.Errorf("%s: %v %v", name, err, diff)
		}
	}
	n, err := r.DeleteVersion("s", 1, true)
	step("permanently at once", n, err, 0, 40407)
	n, err = r.DeleteVersion("s", 1, false)
	step("one version", n, err, 1, 0)
	n, err = r.DeleteVersion("s", 1, false)
	step("twice", n, err, 0, 40406)
	n, err = r.DeleteVersion("s", 7, false)
	step("one that is not there", n, err, 0, 40402)
	_, err = r.Lookup("s", registry.Schema{Text: v1}, false)
	step("it is not found", nil, err, nil, 40403)
	found, err := r.Lookup("s", registry.Schema{Text: v1}, true)
	step("but with deleted ones it is", found.ID, err, one.ID, 0)
	if again := register(t, r, "s", v1); again.Version != 3 || again.ID != one.ID {
		t.Errorf("registered again: %+v", again)
	}
	all, err := r.DeleteSubject("s", true)
	step("the subject, permanently at once", all, err, nil, 40405)
	all, err = r.DeleteSubject("s", false)
	step("the subject", all, err, []int{2, 3}, 0)
	all, err = r.DeleteSubject("s", false)
	step("the subject, twice", all, err, nil, 40404)
	_, err = r.Lookup("s", registry.Schema{Text: v2}, false)
	step("the subject is not found", nil, err, nil, 40401)
	all, err = r.DeleteSubject("s", true)
	step("the subject, permanently", all, err, []int{1, 2, 3}, 0)
	_, err = r.Lookup("s", registry.Schema{Text: v2}, true)
	step("nothing is left", nil, err, nil, 40401)
	if again := register(t, r, "s", v1); again.Version != 4 || again.ID == one.ID {
		t.Errorf("a version or an id was given twice: %+v", again)
	}
	_, err = r.DeleteSubject("unknown", false)
	step("an unknown subject", nil, err, nil, 40401)
}

// TestManyAtOnce: clients that start together and register the same get the same, and nobody gets another's.
func TestManyAtOnce(t *testing.T) {
	r := open(t, t.TempDir())
	type result struct{ id, version int }
	got := make([][]result, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			for n := range 10 {
				text := strings.Replace(v1, `"Row"`, fmt.Sprintf(`"Row%d"`, n), 1)
				v, err := r.Register(fmt.Sprintf("s%d", n), registry.Schema{Text: text})
				if err != nil {
					t.Error(err)
				}
				got[i] = append(got[i], result{v.ID, v.Version})
			}
		})
	}
	wg.Wait()
	ids := map[int]bool{}
	for n := range 10 {
		for i := range got {
			if got[i][n] != got[0][n] || got[i][n].version != 1 {
				t.Fatalf("schema %d: %v and %v", n, got[i][n], got[0][n])
			}
		}
		ids[got[0][n].id] = true
	}
	if len(ids) != 10 {
		t.Fatalf("%d ids for 10 schemas", len(ids))
	}
}
