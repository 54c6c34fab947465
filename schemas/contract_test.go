package schemas

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"utopia/topics"
)

// The catalogue of topics names records by string, because it knows no schemas; here the two meet.
func TestTheCatalogueAndTheSchemasNameTheSameRecords(t *testing.T) {
	embedded := map[string][]string{}
	for _, k := range kinds(t) {
		embedded[k.topic] = append(embedded[k.topic], k.name)
	}
	delete(embedded, "nested") // travels inside other records
	catalogue := map[string][]string{}
	for _, top := range topics.All() {
		if top.Kind == topics.DeadLetters {
			continue
		}
		records := slices.Clone(top.Records)
		slices.Sort(records)
		catalogue[top.Name] = records
		for _, r := range records {
			if private(r) != top.Private() {
				t.Errorf("%s: namespace of %s says private=%v", top.Name, r, private(r))
			}
		}
	}
	if diff := cmp.Diff(catalogue, embedded); diff != "" {
		t.Fatalf("- catalogue, + schemas:\n%s", diff)
	}
}

// Every promise of the package comment about the shape of records.
func TestEveryRecordKeepsTheConventions(t *testing.T) {
	for _, k := range kinds(t) {
		fields := node(t, k.latest()).Fields
		if k.topic != "nested" && fields[0].Type.Type != "string" {
			t.Errorf("%s: the first field is not the id", k.name)
		}
		_, command := k.new().(Command)
		top, _ := topics.ByName(k.topic)
		if command != (top.Kind == topics.Command) {
			t.Errorf("%s in %s: Command is implemented: %v", k.name, k.topic, command)
		}
		if command && (fields[1].Name != "metadata" || fullName(&fields[1].Type) != "utopia.Metadata") {
			t.Errorf("%s: the second field is not the metadata", k.name)
		}
		if r, ok := New(k.name); !ok || r.AvroName() != k.name {
			t.Errorf("%s: New makes %v", k.name, r)
		}
		for i, s := range k.parsed {
			checkShape(t, k, i+1, s.Root())
		}
	}
}

// checkShape looks at every field of a schema, nested ones too.
func checkShape(t *testing.T, k *kind, revision int, n *avro.SchemaNode) {
	t.Helper()
	switch n.Type {
	case "enum":
		if private(k.name) {
			t.Errorf("%s.%d: %s is an enum, private records have strings", k.name, revision, n.Name)
		}
		if n.Symbols[0] != Unknown || !n.HasEnumDefault || n.EnumDefault != Unknown {
			t.Errorf("%s.%d: enum %s has no default %q", k.name, revision, n.Name, Unknown)
		}
	case "union":
		if len(n.Branches) != 2 || n.Branches[0].Type != "null" || n.Branches[1].Type != "record" {
			t.Errorf("%s.%d: a union of something else than null and a record", k.name, revision)
		}
	case "long":
		if n.LogicalType != "" && n.LogicalType != "timestamp-millis" {
			t.Errorf("%s.%d: %s", k.name, revision, n.LogicalType)
		}
	case "record":
		for _, f := range n.Fields {
			time := strings.HasSuffix(f.Name, "At") || f.Name == "at" && !strings.HasSuffix(n.Name, "Handled")
			if time != (f.Type.LogicalType != "") {
				t.Errorf("%s.%d: %s: times end in At and have a logical type", k.name, revision, f.Name)
			}
		}
	}
	for i := range n.Fields {
		checkShape(t, k, revision, &n.Fields[i].Type)
	}
	for i := range n.Branches {
		checkShape(t, k, revision, &n.Branches[i])
	}
	if n.Items != nil {
		checkShape(t, k, revision, n.Items)
	}
}

func TestEveryFieldAfterTheFirstRevisionHasADefault(t *testing.T) {
	added := 0
	for _, k := range kinds(t) {
		for i := 1; i < len(k.parsed); i++ {
			old := k.parsed[i-1].Root().Fields
			for _, f := range k.parsed[i].Root().Fields {
				if slices.ContainsFunc(old, func(o avro.SchemaField) bool { return o.Name == f.Name }) {
					continue
				}
				added++
				if !f.HasDefault {
					t.Errorf("%s.%d: %s has no default", k.name, i+1, f.Name)
				}
			}
		}
	}
	if added == 0 {
		t.Fatal("no revision adds a field: the test tests nothing")
	}
}

// A type that several records share, like utopia.Address, has one Go struct, so its newest definitions must agree.
func TestASharedTypeIsTheSameEverywhere(t *testing.T) {
	seen := map[string]string{}
	var visit func(where string, v any)
	visit = func(where string, v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				visit(where, x)
			}
		case map[string]any:
			for _, x := range v {
				visit(where, x)
			}
			name, _ := v["name"].(string)
			if typ, _ := v["type"].(string); typ != "record" && typ != "enum" || !strings.Contains(name, ".") {
				return
			}
			text, _ := json.Marshal(v)
			if other, ok := seen[name]; ok && other != string(text) {
				t.Errorf("%s: %s differs:\n%s\n%s", where, name, text, other)
			}
			seen[name] = string(text)
		}
	}
	for _, k := range kinds(t) {
		var v any
		// Compare with names resolved: the first use of a type in a file holds its definition, later ones its name.
		root := k.latest().Root().ExpandReferences()
		text, err := json.Marshal(plain(root))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		visit(k.name, v)
	}
	if len(seen) < 10 {
		t.Fatalf("only %d shared types seen: the test tests nothing", len(seen))
	}
}

// plain is what matters of a schema, as JSON.
func plain(n *avro.SchemaNode) any {
	switch n.Type {
	case "record":
		var fields []any
		for i := range n.Fields {
			f := &n.Fields[i]
			fields = append(fields, map[string]any{"field": f.Name, "of": plain(&f.Type), "default": f.Default, "has": f.HasDefault})
		}
		return map[string]any{"type": "record", "name": fullName(n), "fields": fields}
	case "enum":
		return map[string]any{"type": "enum", "name": fullName(n), "symbols": n.Symbols}
	case "array":
		return map[string]any{"items": plain(n.Items)}
	case "union":
		return []any{plain(&n.Branches[1])}
	}
	return n.Type + n.LogicalType
}

func TestRevisionsAreNamedByTheirFiles(t *testing.T) {
	revs := Revisions("customer.state.v1")
	if len(revs) < 2 {
		t.Fatalf("%d revisions", len(revs))
	}
	if r := revs[1]; r.Record != "utopia.customer.CustomerState" || r.Number != 2 || r.Private() ||
		r.Subject() != "customer.state.v1-utopia.customer.CustomerState" {
		t.Fatalf("%+v", r)
	}
	if n := len(Revisions("no.such.topic")); n != 0 {
		t.Fatalf("%d revisions of a topic that does not exist", n)
	}
	if len(Revisions("")) < len(types()) {
		t.Fatal("not every record has a revision")
	}
}

func TestIDsInMemoryAreDistinct(t *testing.T) {
	seen := map[int]Revision{}
	for _, r := range Revisions("") {
		id := stableID(r)
		if other, ok := seen[id]; ok {
			t.Errorf("%d is %s.%d and %s.%d", id, r.Subject(), r.Number, other.Subject(), other.Number)
		}
		seen[id] = r
	}
}

func TestFingerprintsAreDistinct(t *testing.T) {
	n := 0
	for _, k := range kinds(t) {
		n += len(k.parsed)
	}
	if got := len(everything(t).byFingerprint); got != n {
		t.Fatalf("%d fingerprints of %d schemas", got, n)
	}
}
