package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"

	"utopia/cmd/internal/registry"
)

const registryJSON = "application/vnd.schemaregistry.v1+json"

func serve(t *testing.T, seeds ...registry.Seed) string {
	t.Helper()
	web := httptest.NewServer(open(t, t.TempDir(), seeds...).Handler())
	t.Cleanup(web.Close)
	return web.URL
}

func client(t *testing.T, url string) *sr.Client {
	t.Helper()
	c, err := sr.NewClient(sr.URLs(url), sr.HTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func srCode(err error) int {
	var e *sr.ResponseError
	if errors.As(err, &e) {
		return e.ErrorCode
	}
	return 0
}

// TestWithAClient drives the registry with a client that others wrote.
func TestWithAClient(t *testing.T) {
	seeds := registry.Seeds()
	c, ctx := client(t, serve(t, seeds...)), t.Context()
	ours, err := c.SchemaByVersion(ctx, seeds[0].Subject, -1)
	if err != nil || ours.ID == 0 {
		t.Fatal(err)
	}
	if text, err := c.SchemaTextByID(ctx, ours.ID); err != nil || text != ours.Schema.Schema {
		t.Fatalf("%q %v", text, err)
	}
	one, err := c.CreateSchema(ctx, "a b/c", sr.Schema{Schema: v1})
	if err != nil || one.Version != 1 || one.Subject != "a b/c" {
		t.Fatalf("%+v %v", one, err)
	}
	if id, err := c.RegisterSchema(ctx, "other", sr.Schema{Schema: v1}, -1, -1); err != nil || id != one.ID {
		t.Fatalf("id %d %v", id, err)
	}
	uses, err := c.SchemaVersionsByID(ctx, one.ID)
	if diff := cmp.Diff([]sr.SubjectVersion{{Subject: "a b/c", Version: 1}, {Subject: "other", Version: 1}}, uses); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	if subjects, err := c.SubjectsByID(ctx, one.ID); err != nil || len(subjects) != 2 {
		t.Fatal(subjects, err)
	}
	found, err := c.LookupSchema(ctx, "other", sr.Schema{Schema: strings.ReplaceAll(v1, ":", ": ")})
	if err != nil || found.ID != one.ID || found.Version != 1 {
		t.Fatal(found, err)
	}
	if _, err := c.CreateSchema(ctx, "other", sr.Schema{Schema: loose}); srCode(err) != 409 {
		t.Fatalf("an incompatible schema: %v", err)
	}
	set := c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatForward}, "other")
	if set[0].Err != nil || set[0].Level != sr.CompatForward {
		t.Fatal(set)
	}
	if _, err := c.CreateSchema(ctx, "other", sr.Schema{Schema: loose}); err != nil {
		t.Fatal(err)
	}
	if versions, err := c.SubjectVersions(ctx, "other"); err != nil || len(versions) != 2 {
		t.Fatal(versions, err)
	}
	all, err := c.AllSchemas(ctx)
	if err != nil || len(all) != len(seeds)+3 {
		t.Fatalf("%d schemas, %v", len(all), err)
	}
	if got, err := c.DeleteSubject(ctx, "other", sr.SoftDelete); err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if _, err := c.SchemaByVersion(ctx, "other", 1); srCode(err) != 40401 {
		t.Fatal(err)
	}
	if _, err := c.SchemaByID(ctx, one.ID); err != nil {
		t.Fatalf("records on the log name it: %v", err)
	}
	if _, err := c.DeleteSubject(ctx, seeds[0].Subject, sr.SoftDelete); srCode(err) != 42205 {
		t.Fatal(err)
	}
}

func TestConfigAndModeWithAClient(t *testing.T) {
	c, ctx := client(t, serve(t)), t.Context()
	if got := c.Compatibility(ctx); got[0].Err != nil || got[0].Level != sr.CompatBackward {
		t.Fatal(got)
	}
	if got := c.Compatibility(ctx, "s"); srCode(got[0].Err) != 40408 {
		t.Fatal(got)
	}
	if got := c.Compatibility(sr.WithParams(ctx, sr.DefaultToGlobal), "s"); got[0].Level != sr.CompatBackward {
		t.Fatal(got)
	}
	c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, "s")
	if got := c.Compatibility(ctx, "s"); got[0].Level != sr.CompatFullTransitive {
		t.Fatal(got)
	}
	if got := c.ResetCompatibility(ctx, "s"); got[0].Err != nil || got[0].Level != sr.CompatFullTransitive {
		t.Fatal(got)
	}
	if got := c.ResetCompatibility(ctx, "s"); srCode(got[0].Err) != 40408 {
		t.Fatal(got)
	}
	if got := c.SetMode(ctx, sr.ModeReadOnly); got[0].Err != nil {
		t.Fatal(got)
	}
	if _, err := c.CreateSchema(ctx, "s", sr.Schema{Schema: v1}); srCode(err) != 42205 {
		t.Fatal(err)
	}
	if got := c.SetMode(ctx, sr.ModeReadWrite, "s"); got[0].Err != nil {
		t.Fatal(got)
	}
	if _, err := c.CreateSchema(ctx, "s", sr.Schema{Schema: v1}); err != nil {
		t.Fatal(err)
	}
	if got := c.Mode(ctx, "s"); got[0].Mode != sr.ModeReadWrite {
		t.Fatal(got)
	}
	if got := c.SetMode(ctx, sr.ModeImport); srCode(got[0].Err) != 42204 {
		t.Fatal(got)
	}
	if got := c.ResetMode(ctx); got[0].Err != nil {
		t.Fatal(got)
	}
	if types, err := c.SupportedTypes(ctx); err != nil || len(types) != 1 || types[0] != sr.TypeAvro {
		t.Fatal(types, err)
	}
	if contexts, err := c.Contexts(ctx); err != nil || len(contexts) != 1 || contexts[0] != "." {
		t.Fatal(contexts, err)
	}
}

func TestCompatibilityWithAClient(t *testing.T) {
	c, ctx := client(t, serve(t)), t.Context()
	for version := range 2 {
		got, err := c.CheckCompatibility(ctx, "s", -1-version, sr.Schema{Schema: v1})
		if err != nil || !got.Is {
			t.Fatalf("with no version there is nothing to break: %+v %v", got, err)
		}
	}
	if _, err := c.CheckCompatibility(ctx, "s", 3, sr.Schema{Schema: v1}); srCode(err) != 40401 {
		t.Fatal(err)
	}
	for _, text := range []string{v1, v2} {
		if _, err := c.CreateSchema(ctx, "s", sr.Schema{Schema: text}); err != nil {
			t.Fatal(err)
		}
	}
	for version, want := range map[int]bool{1: true, 2: false, -1: false, -2: false} {
		got, err := c.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), "s", version, sr.Schema{Schema: narrow})
		if err != nil || got.Is != want || (len(got.Messages) > 0) == want {
			t.Errorf("against %d: %+v %v", version, got, err)
		}
	}
	if got, err := c.CheckCompatibility(ctx, "s", -1, sr.Schema{Schema: narrow}); err != nil || got.Messages != nil {
		t.Fatalf("messages were not asked for: %+v %v", got, err)
	}
	if _, err := c.CheckCompatibility(ctx, "s", -1, sr.Schema{Schema: "{}"}); srCode(err) != 42201 {
		t.Fatal(err)
	}
}

// TestOnTheWire has what a client sees: status, code, content type and body.
func TestOnTheWire(t *testing.T) {
	url := serve(t)
	quoted, err := json.Marshal(v1)
	if err != nil {
		t.Fatal(err)
	}
	register := fmt.Sprintf(`{"schema":%s}`, quoted)
	for _, tc := range []struct {
		name, method, path, send, kind string
		status                         int
		body                           string // the whole body, or its beginning if it ends in …
	}{
		{"the first", "POST", "/subjects/s/versions", register, registryJSON, 200, `{"id":1,"version":1}`},
		{"plain JSON is taken", "POST", "/subjects/s/versions?normalize=true", register, "application/json", 200, `{"id":1,"version":1}`},
		{"an empty list of references is none", "POST", "/subjects/s", strings.TrimSuffix(register, "}") + `,"references":[]}`, registryJSON, 200, `{"subject":"s","version":1,"id":1…`},
		{"by id", "GET", "/schemas/ids/1", "", "", 200, fmt.Sprintf(`{"schema":%s}`, quoted)},
		{"by id, with the highest", "GET", "/schemas/ids/1?fetchMaxId=true&subject=s", "", "", 200, `{"maxId":1,"schema"…`},
		{"the text", "GET", "/schemas/ids/1/schema", "", "", 200, v1},
		{"the text of a version", "GET", "/subjects/s/versions/latest/schema", "", "", 200, v1},
		{"a version", "GET", "/subjects/s/versions/1", "", "", 200, `{"subject":"s","version":1,"id":1,"schema":…`},
		{"versions", "GET", "/subjects/s/versions", "", "", 200, `[1]`},
		{"subjects", "GET", "/subjects", "", "", 200, `["s"]`},
		{"subjects by prefix", "GET", "/subjects?subjectPrefix=x", "", "", 200, `[]`},
		{"look up", "POST", "/subjects/s", register, registryJSON, 200, `{"subject":"s","version":1,"id":1…`},
		{"references", "GET", "/subjects/s/versions/1/referencedby", "", "", 200, `[]`},
		{"all, paged", "GET", "/schemas?offset=1&limit=5", "", "", 200, `[]`},
		{"home", "GET", "/", "", "", 200, `{}`},

		{"no such path", "GET", "/schema", "", "", 404, `{"error_code":404,…`},
		{"no such id", "GET", "/schemas/ids/9", "", "", 404, `{"error_code":40403,"message":"Schema 9 not found"}`},
		{"an id that is no number", "GET", "/schemas/ids/x", "", "", 404, `{"error_code":404,…`},
		{"no such subject", "GET", "/subjects/t/versions", "", "", 404, `{"error_code":40401,"message":"Subject 't' not found."}`},
		{"no such subject's version", "GET", "/subjects/t/versions/1", "", "", 404, `{"error_code":40401,…`},
		{"no such version", "GET", "/subjects/s/versions/2", "", "", 404, `{"error_code":40402,"message":"Version 2 not found."}`},
		{"version 0", "GET", "/subjects/s/versions/0", "", "", 422, `{"error_code":42202,…`},
		{"a version that is no number", "GET", "/subjects/s/versions/first", "", "", 422, `{"error_code":42202,…`},
		{"look up in no subject", "POST", "/subjects/t", register, registryJSON, 404, `{"error_code":40401,…`},
		{"look up what is not there", "POST", "/subjects/s", `{"schema":"\"int\""}`, registryJSON, 404, `{"error_code":40403,"message":"Schema not found"}`},
		{"no schema", "POST", "/subjects/s/versions", `{}`, registryJSON, 422, `{"error_code":42201,…`},
		{"not a schema", "POST", "/subjects/s/versions", `{"schema":"{\"type\":\"row\"}"}`, registryJSON, 422, `{"error_code":42201,"message":"Invalid schema: …`},
		{"another type", "POST", "/subjects/s/versions", `{"schema":"x","schemaType":"PROTOBUF"}`, registryJSON, 422, `{"error_code":42201,…`},
		{"rules", "POST", "/subjects/s/versions", `{"schema":"\"int\"","ruleSet":{"domainRules":[]}}`, registryJSON, 422, `{"error_code":42201,…`},
		{"an id of one's own", "POST", "/subjects/s/versions", `{"schema":"\"int\"","id":7}`, registryJSON, 422, `{"error_code":42205,…`},
		{"not JSON", "POST", "/subjects/s/versions", `schema`, registryJSON, 400, `{"error_code":400,…`},
		{"a form", "POST", "/subjects/s/versions", register, "application/x-www-form-urlencoded", 415, `{"error_code":415,…`},
		{"too long", "POST", "/subjects/s/versions", `{"schema":"` + strings.Repeat(" ", 5<<20) + `"}`, registryJSON, 413, `{"error_code":413,…`},
		{"a schema that is too long", "POST", "/subjects/s/versions", `{"schema":"` + strings.Repeat(" ", 2<<20) + `\"int\""}`, registryJSON, 422, `{"error_code":42201,…`},
		{"incompatible", "POST", "/subjects/s/versions", `{"schema":"\"int\""}`, registryJSON, 409, `{"error_code":409,"message":"Schema being registered is incompatible with an earlier schema for subject \"s\", details: …`},
		{"no such level", "PUT", "/config", `{"compatibility":"SOME"}`, registryJSON, 422, `{"error_code":42203,…`},
		{"no mode", "PUT", "/mode", `{}`, registryJSON, 422, `{"error_code":42204,…`},
		{"a subject with a control character", "POST", "/subjects/a%0Ab/versions", register, registryJSON, 422, `{"error_code":42208,…`},
		{"a bare array", "POST", "/subjects/s/versions", `[]`, registryJSON, 400, `{"error_code":400,…`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, kind, body := request(t, tc.method, url+tc.path, tc.send, tc.kind)
			want, open := strings.CutSuffix(tc.body, "…")
			if status != tc.status || (open && !strings.HasPrefix(body, want)) || (!open && strings.TrimSpace(body) != want) {
				t.Fatalf("%d %.300s\nwant %d %s", status, body, tc.status, tc.body)
			}
			if kind != registryJSON || !json.Valid([]byte(body)) {
				t.Fatalf("%s: %.300s", kind, body)
			}
		})
	}
}

func request(t *testing.T, method, url, send, kind string) (status int, contentType, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(send))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(b)
}

func TestAnswersInTheAskedType(t *testing.T) {
	h := open(t, "").Handler()
	for accept, want := range map[string]string{
		"":                 registryJSON,
		"*/*":              registryJSON,
		"application/json": "application/json",
		registryJSON + ", application/json; q=0.5": registryJSON,
	} {
		rec := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/subjects", nil)
		req.Header.Set("Accept", accept)
		h.ServeHTTP(rec, req)
		if got := rec.Header().Get("Content-Type"); got != want {
			t.Errorf("%q: %q", accept, got)
		}
	}
}

func TestAPageElsewhereRegistersNothing(t *testing.T) {
	h := open(t, "").Handler()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/subjects/s/versions", strings.NewReader(`{"schema":"\"int\""}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if rec.Code != http.StatusForbidden {
		t.Fatal(rec.Code)
	}
}

// FuzzRegister: whatever text is sent, there is an answer, and what was taken is found again under the same id.
func FuzzRegister(f *testing.F) {
	for _, s := range []string{v1, v2, `"int"`, `["null","string"]`, `{"type":"map","values":"int"}`, `{"type":"enum","name":"E","symbols":["A"]}`, `int`, `{"type":{"type":{"type":"int"}}}`} {
		f.Add(s)
	}
	r, err := registry.New(registry.Options{Seeds: []registry.Seed{}})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := r.SetLevel("", "NONE"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := r.Register("s", registry.Schema{Text: text})
		if err != nil {
			if c := code(err); c != 42201 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		found, err := r.Lookup("s", registry.Schema{Text: v.Text}, false)
		if err != nil || found.ID != v.ID {
			t.Fatalf("%q: %+v, registered as %+v: %v", text, found, v, err)
		}
	})
}
