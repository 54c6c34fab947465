package processors

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/schemas"
	"utopia/topics"
)

// called is a customer by name and city.
func called(id, name, city string, pending *schemas.PendingChange) *schemas.CustomerState {
	s := customerState(3, lives(city, "registered", 1))
	s.CustomerID, s.Name, s.Email, s.Pending = id, name, id+"@example.org", pending
	return s
}

func asked(at int64, status, undeliverable string) *schemas.PendingChange {
	return &schemas.PendingChange{ChangeID: "x", Status: status, Reason: "moved", RequestedAt: at, Undeliverable: undeliverable}
}

func TestFindingCustomers(t *testing.T) {
	w := newWindow(t)
	rows := map[string]schemas.Record{
		"c-1": called("c-1", "Grace Hopper", "Gouda", asked(2000, "unconfirmed", "")),
		"c-2": called("c-2", "Hoppe, Émile", "'s-Gravenhage", asked(1000, "unconfirmed", "recipient")),
		"c-3": called("c-3", "Søren Hopkins-Hopper", "Göteborg", asked(3000, "scheduled", "")),
		"c-4": called("c-4", "", "Gouda", nil), // a system of record has told an address; nobody has registered
		"d-1": called("d-1", "Ada", "Gouda", nil),
	}
	w.write(kgo.TryCommit, topics.CustomerState, rows)
	made, err := NewCustomerView(w.options())
	v := runView(w, made, err)
	if _, err := v.Until(w.patience(), "d-1", func(_ *schemas.CustomerState, found bool) bool { return found }); err != nil {
		t.Fatal(err)
	}
	c := Customers{v}
	all := func(find func(cursor string) (CustomerPage, error)) string {
		t.Helper()
		var ids []string
		for cursor, first := "", true; first || cursor != ""; first = false {
			p, err := find(cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range p.Customers {
				ids = append(ids, one.CustomerID)
			}
			cursor = p.Next
		}
		return strings.Join(ids, " ")
	}
	search := func(s Search) string {
		t.Helper()
		return all(func(cursor string) (CustomerPage, error) { return c.Search(s, cursor, 1) })
	}
	waits := func(what string) string {
		t.Helper()
		return all(func(cursor string) (CustomerPage, error) { return c.Waiting(what, cursor, 2) })
	}
	for _, ask := range []struct {
		s    Search
		want string
	}{
		{Search{}, "c-1 c-2 c-3 d-1"},
		{Search{ID: "c-"}, "c-1 c-2 c-3"},
		{Search{ID: "C-"}, ""},
		{Search{Email: "C-2@EXAMPLE.org"}, "c-2"},
		{Search{Email: "c-2@example"}, ""},
		{Search{Name: "HOP"}, "c-3 c-2 c-1"}, // by the word: hopkins, hoppe, hopper
		{Search{Name: "emile hoppe"}, "c-2"},
		{Search{Name: "hopper soren"}, "c-3"},
		{Search{Name: "opper"}, ""},
		{Search{City: "GO"}, "c-3 c-1 d-1"},
		{Search{City: "s graven"}, "c-2"},
		{Search{City: "gouda", Name: "ada"}, "d-1"},
		{Search{City: "goude"}, ""},
	} {
		if got := search(ask.s); got != ask.want {
			t.Errorf("%+v: %q, want %q", ask.s, got, ask.want)
		}
	}
	for what, want := range map[string]string{"": "c-2 c-1 c-3", WaitsForConfirmation: "c-1", WaitsForMail: "c-2", WaitsForDate: "c-3"} {
		if got := waits(what); got != want {
			t.Errorf("waits for %q: %q, want %q", what, got, want)
		}
	}
	if Since(asked(1000, "", ""), time.UnixMilli(61_000)) != time.Minute {
		t.Error("a minute is none")
	}

	// What was confirmed waits no longer, what was erased is not found, and its name not either.
	w.write(kgo.TryCommit, topics.CustomerState, map[string]schemas.Record{"c-1": called("c-1", "Grace Murray", "Gouda", nil), "c-3": nil})
	if _, err := v.Until(w.patience(), "c-1", func(s *schemas.CustomerState, _ bool) bool { return s.Name == "Grace Murray" }); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Until(w.patience(), "c-3", func(_ *schemas.CustomerState, found bool) bool { return !found }); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if got := search(Search{Name: "hop"}) + "/" + search(Search{Name: "murray"}) + "/" + waits(""); got != "c-2/c-1/c-2" {
		t.Errorf("after the changes: %s", got)
	}
}

func TestWhatASearchRefuses(t *testing.T) {
	made, err := NewCustomerView(ViewOptions{IDs: schemas.NewMemoryIDs()})
	if err != nil {
		t.Fatal(err)
	}
	c := Customers{made}
	type result struct{ Cursor, Word, For bool }
	was := func(_ CustomerPage, err error) result {
		return result{errors.Is(err, ErrCursor), errors.Is(err, ErrNoWord), errors.Is(err, ErrWaitsFor)}
	}
	for name, got := range map[string]result{
		"cursor not base64":       was(c.Search(Search{Name: "a"}, "?", 1)),
		"cursor without a key":    was(c.Search(Search{Name: "a"}, encodeCursor("name/a", ""), 1)),
		"cursor of another name":  was(c.Search(Search{Name: "b"}, encodeCursor("name/a", "c-1"), 1)),
		"cursor of all":           was(c.Search(Search{Name: "b"}, encodeCursor("", "c-1"), 1)),
		"cursor of a name":        was(c.Search(Search{}, encodeCursor("name/a", "c-1"), 1)),
		"cursor of a search":      was(c.Waiting("", encodeCursor("name/a", "c-1"), 1)),
		"cursor of another wait":  was(c.Waiting("date", encodeCursor("waits/mail/0", "c-1"), 1)),
		"cursor that is too long": was(c.Search(Search{}, strings.Repeat("a", 1025), 1)),
	} {
		if diff := cmp.Diff(result{Cursor: true}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, s := range []Search{{Name: "!"}, {City: "-"}} {
		if got := was(c.Search(s, "", 1)); !got.Word {
			t.Errorf("%+v: %+v", s, got)
		}
	}
	if got := was(c.Waiting("bus", "", 1)); !got.For {
		t.Errorf("%+v", got)
	}
}

// BenchmarkCustomerEntries is what finding costs the writer of a row: its entries are made twice, of the row and of the one before.
func BenchmarkCustomerEntries(b *testing.B) {
	for name, row := range map[string]*schemas.CustomerState{
		"ascii": called("c-1", "Grace Brewster Hopper", "Gouda", nil), "accents": called("c-1", "Émile Łukasz Müller", "Göteborg", nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !slices.Contains(customerEntries(row), "email/c-1@example.org") {
					b.Fatal("no entry")
				}
			}
		})
	}
}
