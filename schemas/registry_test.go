package schemas

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

func newRegistry(t *testing.T, url, file string) *Registry {
	t.Helper()
	r, err := NewRegistry(RegistryConfig{URLs: []string{url}, Timeout: 10 * time.Second, CacheFile: file})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const stateSubject = "customer.state.v1-utopia.customer.CustomerState"

func TestRegisterPutsEveryPublicRevisionOnce(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	r := newRegistry(t, fake.URL(), "")
	if _, err := r.ID(stateSubject); !errors.Is(err, ErrUnknownID) {
		t.Fatalf("looking up registers nothing, but got %v", err)
	}
	for round, fresh := range []bool{true, false} {
		done, err := r.Register(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		public := 0
		for _, rev := range Revisions("") {
			if !rev.Private() {
				public++
			}
		}
		if len(done) != public {
			t.Fatalf("%d of %d", len(done), public)
		}
		for _, d := range done {
			if d.New != fresh || d.ID == 0 || d.Revision.Private() {
				t.Errorf("round %d: %+v", round, d)
			}
		}
	}
	if _, ok := fake.GetSchema("customer-table-utopia.customer.private.CustomerRow", 1); ok {
		t.Error("a private schema is in the registry")
	}
	second, ok := fake.GetSchema(stateSubject, 2)
	if !ok {
		t.Fatal("the second revision is not the second version")
	}
	if id, err := r.ID(stateSubject); err != nil || id != second.ID {
		t.Fatalf("%d, %v: want the id of what is written, %d", id, err, second.ID)
	}
	res := r.client.Compatibility(t.Context(), stateSubject)
	if len(res) != 1 || res[0].Level != sr.CompatFullTransitive {
		t.Errorf("%+v", res)
	}
}

func TestCodecsWorkThroughARegistry(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	writer := newRegistry(t, fake.URL(), "")
	if _, err := writer.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := encoded(t, newCodec(t, "customer.state.v1", writer), gouda())
	if _, err := newCodec(t, "customer.state.v1", newRegistry(t, fake.URL(), "")).Decode(b); err != nil {
		t.Fatal(err)
	}
	id, _, _ := SchemaID(b)
	subject, schema, err := newRegistry(t, fake.URL(), "").ByID(id)
	if err != nil || subject != stateSubject || schema != Revisions("customer.state.v1")[1].Schema {
		t.Fatalf("%s, %v", subject, err)
	}
	if _, _, err := writer.ByID(31337); !errors.Is(err, ErrUnknownID) {
		t.Fatalf("got %v", err)
	}
}

// A process that has run once starts and runs without the registry; one that never ran does not know.
func TestWhatTheRegistrySaidIsKept(t *testing.T) {
	fake := srfake.New()
	url, file := fake.URL(), filepath.Join(t.TempDir(), "state", "ids.json")
	first := newRegistry(t, url, file)
	if _, err := first.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := newCodec(t, "customer.state.v1", first)
	b := encoded(t, c, gouda())
	if _, err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	fake.Close()

	c = newCodec(t, "customer.state.v1", newRegistry(t, url, file))
	if err := c.Lookup(); err != nil {
		t.Fatal(err)
	}
	if again := encoded(t, c, gouda()); string(again) != string(b) {
		t.Fatalf("%x, %x", again, b)
	}
	if _, err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	if err := newCodec(t, "customer.replies.v1", newRegistry(t, url, file)).Lookup(); !errors.Is(err, ErrRegistryDown) {
		t.Fatalf("a schema that was never asked for: %v", err)
	}
	if err := newCodec(t, "customer.state.v1", newRegistry(t, url, "")).Lookup(); !errors.Is(err, ErrRegistryDown) {
		t.Fatalf("without a cache: %v", err)
	}
	if err := newCodec(t, "customer.state.v1", newRegistry(t, "http://127.0.0.1:1", file)).Lookup(); !errors.Is(err, ErrRegistryDown) {
		t.Fatalf("another registry's ids: %v", err)
	}
}

// A registry that hangs costs whoever decodes no more than its patience, and the answer is there when it comes at last.
func TestARegistryThatHangs(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	if _, err := newRegistry(t, fake.URL(), "").Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, err := newRegistry(t, fake.URL(), "").ID(stateSubject)
	if err != nil {
		t.Fatal(err)
	}
	release, questions := make(chan struct{}), atomic.Int32{}
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		questions.Add(1)
		<-release
		http.Redirect(w, r, fake.URL()+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer hanging.Close()
	r, err := NewRegistry(RegistryConfig{URLs: []string{hanging.URL}, Timeout: time.Minute, Patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, _, err := r.ByID(id); !errors.Is(err, ErrRegistryDown) {
			t.Fatalf("while it hangs: %v", err)
		}
	}
	if n := questions.Load(); n > 1 {
		t.Errorf("asked %d times", n)
	}
	close(release)
	for {
		subject, _, err := r.ByID(id)
		if err == nil {
			if subject != stateSubject {
				t.Errorf("subject %s", subject)
			}
			return
		}
		if !errors.Is(err, ErrRegistryDown) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestABrokenCacheIsNoCache(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	file := filepath.Join(t.TempDir(), "ids.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t, fake.URL(), file)
	if _, err := r.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ID(stateSubject); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRegistry(RegistryConfig{URLs: []string{fake.URL()}, CacheFile: t.TempDir()}); err == nil {
		t.Error("a directory is no cache file")
	}
}

// A full disk must not make a record unreadable.
func TestACacheThatCannotBeWrittenIsNoVerdict(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	dir := filepath.Join(t.TempDir(), "state")
	r := newRegistry(t, fake.URL(), filepath.Join(dir, "ids.json"))
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the directory should be
		t.Fatal(err)
	}
	if _, err := r.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := newCodec(t, "customer.state.v1", r)
	if _, err := c.Decode(encoded(t, c, gouda())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ids.json")); err == nil {
		t.Fatal("the cache was written: the test tests nothing")
	}
}

// An id that means something else shows that the registry was replaced: the rest of what it said is wrong too.
func TestAReplacedRegistryIsNoticed(t *testing.T) {
	c, err := openIDCache(filepath.Join(t.TempDir(), "ids.json"), []string{"http://a"})
	if err != nil {
		t.Fatal(err)
	}
	for id, schema := range map[int]string{1: base, 2: added} {
		c.put(id, "s", schema)
	}
	c.put(1, "s", " "+base) // the same in another layout
	if _, _, ok := c.schema(2); !ok {
		t.Fatal("a layout is no other meaning")
	}
	c.put(1, "s", other)
	if _, _, ok := c.schema(2); ok {
		t.Fatal("the old registry's ids are still there")
	}
	if _, schema, ok := c.schema(1); !ok || schema != other {
		t.Fatal("the new registry's answer is not there")
	}
}

func TestWhatARegistryCanSay(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	for name, c := range map[string]struct {
		status int
		want   error
	}{
		"nothing like it":  {http.StatusNotFound, ErrUnknownID},
		"incompatible":     {http.StatusConflict, ErrIncompatible},
		"who are you":      {http.StatusUnauthorized, ErrRegistryDown},
		"something broke":  {http.StatusInternalServerError, ErrRegistryDown},
		"come again later": {http.StatusServiceUnavailable, ErrRegistryDown},
	} {
		t.Run(name, func(t *testing.T) {
			fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, `{"error_code":1,"message":"`+name+`"}`)
				return true
			})
			defer fake.ClearInterceptors()
			r := newRegistry(t, fake.URL(), "")
			if _, err := r.ID(stateSubject); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			if _, _, err := r.ByID(1); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := newRegistry(t, fake.URL(), "").ID("customer-table-utopia.customer.private.CustomerRow"); !errors.Is(err, ErrUnknownID) {
		t.Errorf("a private schema: %v", err)
	}
	if _, err := NewRegistry(RegistryConfig{}); err == nil {
		t.Error("no address")
	}
}

func TestASchemaThatIsNotAvroCannotBeRead(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	fake.SeedSchema("customer.state.v1-value", 1, 77, sr.Schema{Schema: `syntax = "proto3";`, Type: sr.TypeProtobuf})
	c := newCodec(t, "customer.state.v1", newRegistry(t, fake.URL(), ""))
	if _, err := c.Decode([]byte{0, 0, 0, 0, 77, 0}); !errors.Is(err, ErrIncompatible) {
		t.Fatalf("got %v", err)
	}
}

func TestRegisterSaysWhatTheRegistryHoldsAgainstIt(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	fake.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/versions") {
			return false
		}
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error_code":409,"message":"field n has no default"}`)
		return true
	})
	done, err := newRegistry(t, fake.URL(), "").Register(t.Context())
	if !errors.Is(err, ErrIncompatible) || !strings.Contains(err.Error(), "field n has no default") || len(done) != 0 {
		t.Fatalf("%d done, %v", len(done), err)
	}
}
