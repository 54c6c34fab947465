package people_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/linkedin/goavro/v2"

	"utopia/cmd/internal/people"
)

// all reads a whole file, with rows that cannot be read as their numbers.
func all(t *testing.T, f people.Format, r io.Reader) (rows []people.Row, bad []int) {
	t.Helper()
	reader, err := people.NewReader(f, r)
	if err != nil {
		t.Fatal(err)
	}
	for {
		row, err := reader.Read()
		var re *people.RowError
		switch {
		case errors.Is(err, io.EOF):
			return rows, bad
		case errors.As(err, &re):
			bad = append(bad, re.Number)
		case err != nil:
			t.Fatal(err)
		default:
			rows = append(rows, row)
		}
	}
}

func samples() []people.Row {
	return []people.Row{
		{ID: "c-1", Name: `O"Hara, José`, Email: "jose@example.org", Language: "es", Country: "MX", Region: "OAX", City: "Oaxaca", District: "Jalatlaco", PostCode: "68001", Street: "Callejón 1\nint. 9", Version: 3, Status: "active"},
		{ID: "c-2", Name: "강지훈", Email: "j@example.com", Country: "KR", City: "종로구", PostCode: "03041", SortingCode: "X", Street: "율곡로 17, \"1105\"호", Status: "closed", Version: 9},
		{ID: "c-3"},
	}
}

func TestWhatIsWrittenIsReadAgainInEveryFormat(t *testing.T) {
	for _, f := range people.Formats() {
		t.Run(string(f), func(t *testing.T) {
			var b bytes.Buffer
			w, err := people.NewWriter(f, &b)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range samples() {
				if err := w.Write(r); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, bad := all(t, f, &b)
			want := samples()
			for i := range want {
				want[i].Number, want[i].Version, want[i].Status = i+1, 0, ""
			}
			if diff := cmp.Diff(want, got); diff != "" || len(bad) > 0 {
				t.Error(diff, bad)
			}
		})
	}
}

func TestManyRowsMakeSeveralBlocks(t *testing.T) {
	var b bytes.Buffer
	w, err := people.NewWriter(people.Avro, &b)
	if err != nil {
		t.Fatal(err)
	}
	for range 1234 {
		if err := w.Write(people.Row{ID: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if rows, _ := all(t, people.Avro, &b); len(rows) != 1234 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestColumnsInAnyOrderAndSpelling(t *testing.T) {
	want := []people.Row{{ID: "c-1", Name: "Ada", PostCode: "2801 EM", Street: "Markt 1", Number: 1}}
	for name, file := range map[string]struct {
		format people.Format
		text   string
	}{
		"spreadsheet":   {people.CSV, "\ufeffPostCode,NAME,ID,Street,Status,Version\r\n2801 EM,Ada,c-1,Markt 1,active,7\r\n"},
		"export":        {people.CSV, "id,name,post_code,street\nc-1,Ada,2801 EM,Markt 1\n"},
		"flat JSON":     {people.JSONL, "\n" + `{"id":"c-1","name":"Ada","postCode":"2801 EM","street":"Markt 1","version":3}` + "\n\n"},
		"nested JSON":   {people.JSONL, `{"id":"c-1","name":"Ada","email":null,"address":{"post_code":"2801 EM","street":"Markt 1"}}`},
		"rejects again": {people.JSONL, `{"id":"c-1","name":"Ada","postCode":"2801 EM","street":"Markt 1","reason":"was wrong"}`},
	} {
		got, bad := all(t, file.format, strings.NewReader(file.text))
		if diff := cmp.Diff(want, got); diff != "" || len(bad) > 0 {
			t.Errorf("%s: %s %v", name, diff, bad)
		}
	}
}

func TestForeignAvroWithUnionsAndANestedAddress(t *testing.T) {
	schema := `{"type":"record","name":"Person","namespace":"com.example","fields":[
		{"name":"name","type":"string"},{"name":"id","type":"string"},
		{"name":"language","type":["null","string"],"default":null},{"name":"email","type":["null","string"],"default":null},
		{"name":"address","type":{"type":"record","name":"Where","fields":[{"name":"post_code","type":["null","string"]},{"name":"country","type":"string"}]}}]}`
	var b bytes.Buffer
	w, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append([]any{map[string]any{
		"id": "c-1", "name": "Ada", "language": nil, "email": goavro.Union("string", "a@example.org"),
		"address": map[string]any{"country": "NL", "post_code": goavro.Union("string", "2801 EM")},
	}}); err != nil {
		t.Fatal(err)
	}
	got, _ := all(t, people.Avro, &b)
	if diff := cmp.Diff([]people.Row{{ID: "c-1", Name: "Ada", Email: "a@example.org", Country: "NL", PostCode: "2801 EM", Number: 1}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestABadRowIsOneBadRow(t *testing.T) {
	for name, tc := range map[string]struct {
		format people.Format
		text   string
		bad    []int
		good   int
	}{
		"too few columns": {people.CSV, "id,name\na,A\nb\nc,C\n", []int{2}, 2},
		"a bare quote":    {people.CSV, "id,name\na,A\nb,B\"B\nc,C\n", []int{2}, 2},
		"not JSON":        {people.JSONL, "{\"id\":\"a\"}\n{\n{\"id\":\"c\"}\n", []int{2}, 2},
		"a number":        {people.JSONL, "{\"id\":7}\n{\"id\":\"c\"}\n", []int{1}, 1},
		"unknown field":   {people.JSONL, "{\"id\":\"a\",\"straat\":\"x\"}\n{\"id\":\"c\"}\n", []int{1}, 1},
	} {
		rows, bad := all(t, tc.format, strings.NewReader(tc.text))
		if diff := cmp.Diff(tc.bad, bad); diff != "" || len(rows) != tc.good {
			t.Errorf("%s: %s, %d good", name, diff, len(rows))
		}
	}
}

func TestAFileThatCannotBeReadAtAll(t *testing.T) {
	for name, tc := range map[string]struct {
		format people.Format
		text   string
		is     error
	}{
		"a misspelt column": {people.CSV, "id,straat\n", people.ErrColumn},
		"empty CSV":         {people.CSV, "", io.EOF},
		"not a container":   {people.Avro, "hello", nil},
		"no format":         {"xml", "", people.ErrFormat},
	} {
		if _, err := people.NewReader(tc.format, strings.NewReader(tc.text)); err == nil || tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A line that is too long is one bad row, and no more memory than a row may take.
func TestALineThatIsTooLongIsOneBadRow(t *testing.T) {
	long := `{"id":"` + strings.Repeat("x", 3<<20)
	rows, bad := all(t, people.JSONL, strings.NewReader(`{"id":"a"}`+"\n"+long+"\"}\n"+`{"id":"c"}`+"\n"+long))
	if len(rows) != 2 || rows[1].ID != "c" || rows[1].Number != 3 || !cmp.Equal(bad, []int{2, 4}) {
		t.Errorf("%d rows, bad %v", len(rows), bad)
	}
	r, err := people.NewReader(people.JSONL, strings.NewReader(long))
	if err != nil {
		t.Fatal(err)
	}
	var re *people.RowError
	if _, err := r.Read(); !errors.As(err, &re) || len(re.Text) > 2000 || !strings.Contains(re.Error(), "longer than 1 MiB") {
		t.Errorf("%d bytes of text, %v", len(re.Text), err)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last line: %v", err)
	}
}

// A container's schema is looked at before its rows, as the header of CSV is.
func TestAContainerWithOtherColumnsIsRefusedAsAWhole(t *testing.T) {
	for fields, want := range map[string]string{
		`{"name":"id","type":"string"},{"name":"straat","type":"string"}`:                        `there is no column "straat"`,
		`{"name":"name","type":"string"}`:                                                        `there is no column "id"`,
		`{"name":"id","type":"string"},{"name":"name","type":["null","R"]}`:                      "name is of type R, not text",
		`{"name":"id","type":"string"},{"name":"name","type":{"type":"array","items":"string"}}`: "name is of type array",
	} {
		var b bytes.Buffer
		if _, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: `{"type":"record","name":"R","fields":[` + fields + `]}`}); err != nil {
			t.Fatal(err)
		}
		if _, err := people.NewReader(people.Avro, &b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", fields, err, want)
		}
	}
}

func TestFormats(t *testing.T) {
	for in, want := range map[[2]string]people.Format{
		{"", "a/people.CSV"}: people.CSV, {"", "x.ndjson"}: people.JSONL, {"avro", "x.csv"}: people.Avro, {"json", ""}: people.JSONL,
	} {
		if got, err := people.FormatOf(in[0], in[1]); got != want || err != nil {
			t.Errorf("%v: %v %v", in, got, err)
		}
	}
	if _, err := people.FormatOf("", "people"); !errors.Is(err, people.ErrFormat) {
		t.Error(err)
	}
}

func TestACommandIDFollowsFromTheContentAlone(t *testing.T) {
	a, b := samples()[0], samples()[0]
	b.Number, b.Version, b.Status = 77, 99, "closed"
	if a.CommandID() != b.CommandID() || len(a.CommandID()) != 47 {
		t.Error(a.CommandID(), b.CommandID())
	}
	b.Street += "."
	c := samples()[0]
	c.Name, c.Email = c.Name+"jose", strings.TrimPrefix(c.Email, "jose")
	if a.CommandID() == b.CommandID() || a.CommandID() == c.CommandID() {
		t.Error("other content, same id")
	}
}

func TestRejectsStandNextToTheFileAndCanBeImportedAgain(t *testing.T) {
	for _, f := range []people.Format{people.CSV, people.JSONL} {
		path := filepath.Join(t.TempDir(), "people."+string(f))
		old := path + ".rejected." + string(f)
		if err := os.WriteFile(old, []byte("of an earlier run"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := people.NewRejects(path, f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) || r.Path() != "" {
			t.Error("the earlier file is still there")
		}
		want := samples()[0]
		if err := r.Row(want, "no such post code"); err != nil {
			t.Fatal(err)
		}
		if err := r.Unread(&people.RowError{Number: 2, Text: "rubbish", Err: io.ErrUnexpectedEOF}); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(r.Path())
		if err != nil || r.Path() != old || r.Count() != 2 {
			t.Fatal(err, r.Path(), r.Count())
		}
		for _, text := range []string{"no such post code", "row 2: unexpected EOF", "rubbish"} {
			if !strings.Contains(string(b), text) {
				t.Errorf("%s: %q is not in %s", f, text, b)
			}
		}
		rows, _ := all(t, f, bytes.NewReader(b))
		want.Number, want.Version, want.Status = 1, 0, ""
		if diff := cmp.Diff(want, rows[0]); diff != "" {
			t.Error(diff)
		}
	}
}
