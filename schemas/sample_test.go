package schemas

import (
	"fmt"
	"slices"
	"testing"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"
	"pgregory.net/rapid"
)

// everything is the parsed table; a test that needs it fails when the embedded schemas cannot be read.
func everything(tb testing.TB) *set {
	tb.Helper()
	s, err := compiled()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// kinds returns every record type by name.
func kinds(tb testing.TB) []*kind {
	tb.Helper()
	var all []*kind
	for _, k := range everything(tb).byName {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b *kind) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return all
}

// oracle is an independent codec for a schema, numbers as they are: the canonical form has no logical types.
func oracle(tb testing.TB, s *avro.Schema) *goavro.Codec {
	tb.Helper()
	c, err := goavro.NewCodec(string(s.Canonical()))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// node is a schema with every name replaced by what it names.
func node(tb testing.TB, s *avro.Schema) *avro.SchemaNode {
	tb.Helper()
	p, err := avro.Parse(string(s.Canonical()))
	if err != nil {
		tb.Fatal(err)
	}
	return p.Root().ExpandReferences()
}

// generate makes any value of a type, as goavro wants it.
func generate(t *rapid.T, n *avro.SchemaNode, path string) any {
	switch n.Type {
	case "boolean":
		return rapid.Bool().Draw(t, path)
	case "int":
		return rapid.Int32().Draw(t, path)
	case "long":
		return rapid.Int64().Draw(t, path)
	case "string":
		return rapid.String().Draw(t, path)
	case "bytes":
		return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, path)
	case "enum":
		return rapid.SampledFrom(n.Symbols).Draw(t, path)
	case "array":
		out := []any{}
		for i := range rapid.IntRange(0, 3).Draw(t, path+" items") {
			out = append(out, generate(t, n.Items, fmt.Sprintf("%s[%d]", path, i)))
		}
		return out
	case "union":
		b := &n.Branches[rapid.IntRange(0, len(n.Branches)-1).Draw(t, path+" branch")]
		if b.Type == "null" {
			return nil
		}
		return goavro.Union(typeName(b), generate(t, b, path))
	case "record":
		out := map[string]any{}
		for i := range n.Fields {
			out[n.Fields[i].Name] = generate(t, &n.Fields[i].Type, path+"."+n.Fields[i].Name)
		}
		return out
	}
	t.Fatalf("%s: no generator for %s", path, n.Type)
	return nil
}

// sample makes one value of a type in which every field has a value of its own, the same at every call.
func sample(tb testing.TB, n *avro.SchemaNode, path string, count *int) any {
	tb.Helper()
	*count++
	switch n.Type {
	case "boolean":
		return true
	case "int":
		return int32(*count)
	case "long":
		return int64(1_700_000_000_000 + *count)
	case "string":
		return fmt.Sprintf("%s №%d", path, *count)
	case "bytes":
		return []byte{0xC3, 0x01, byte(*count)}
	case "enum":
		return n.Symbols[*count%len(n.Symbols)]
	case "array":
		return []any{sample(tb, n.Items, path, count), sample(tb, n.Items, path, count)}
	case "union":
		b := &n.Branches[len(n.Branches)-1]
		return goavro.Union(typeName(b), sample(tb, b, path, count))
	case "record":
		out := map[string]any{}
		for i := range n.Fields {
			out[n.Fields[i].Name] = sample(tb, &n.Fields[i].Type, n.Fields[i].Name, count)
		}
		return out
	}
	tb.Fatalf("%s: no sample for %s", path, n.Type)
	return nil
}

// body is the sample of one revision, encoded by the oracle.
func body(tb testing.TB, s *avro.Schema) []byte {
	tb.Helper()
	count := 0
	b, err := oracle(tb, s).BinaryFromNative(nil, sample(tb, node(tb, s), "", &count))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// decoded is a record of k whose body is b.
func decoded(tb testing.TB, k *kind, b []byte) Record {
	tb.Helper()
	r, err := k.readers[len(k.readers)-1].decode(b)
	if err != nil {
		tb.Fatalf("%s: %v", k.name, err)
	}
	return r
}
