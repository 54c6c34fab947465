package processors

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"utopia/processors/customer"
	"utopia/processors/eos"
	"utopia/processors/postal"
	"utopia/schemas"
)

// What a search refuses.
var (
	// ErrCursor: the cursor is none of this search.
	ErrCursor = errors.New("the cursor is not one of this search")
	// ErrNoWord: there is no letter and no digit in what is looked for.
	ErrNoWord = errors.New("there is no letter or digit in it")
	// ErrWaitsFor: nothing waits for that.
	ErrWaitsFor = errors.New("want confirmation, mail or date")
)

// maxCursor is the longest cursor that is read, in bytes.
const maxCursor = 1024

// Search says which customers are looked for; what is empty does not matter. All that is given must be true of each.
type Search struct {
	ID    string // how the id begins, exactly
	Email string // the whole address; upper and lower case are the same
	Name  string // how words of the name begin, each given one
	City  string // how the city begins
}

// CustomerPage is a part of the customers that were found.
type CustomerPage struct {
	Customers []*schemas.CustomerState
	// Next is the cursor of the next page, empty if there is none. It may hold a part of a name: it belongs into no URL and no log.
	Next string
}

// FindCustomers returns at most limit registered customers, by id, or by what was looked for and id. cursor is the Next of the page before, or empty.
// A page may be shorter than limit and have a Next all the same. Errors: ErrCursor, ErrNoWord, *eos.NotReadyError.
func FindCustomers(v *View[*schemas.CustomerState], s Search, cursor string, limit int) (CustomerPage, error) {
	at, err := parseCursor(cursor)
	if err != nil {
		return CustomerPage{}, err
	}
	names, city := postal.Words(s.Name), postal.Words(s.City)
	if s.Name != "" && len(names) == 0 || s.City != "" && len(city) == 0 {
		return CustomerPage{}, ErrNoWord
	}
	var prefix string
	switch {
	case s.Email != "":
		prefix = emailEntry(s.Email) + "\x00"
	case s.ID != "":
	case len(names) > 0:
		prefix = nameEntry + slices.MaxFunc(names, func(a, b string) int { return cmp.Compare(len(a), len(b)) }) // the rarest, perhaps
	case len(city) > 0:
		prefix = cityEntry + strings.Join(city, " ")
	}
	keep := func(c *schemas.CustomerState) bool {
		return c.Name != "" && strings.HasPrefix(c.CustomerID, s.ID) && (s.Email == "" || emailEntry(c.Email) == emailEntry(s.Email)) &&
			begin(postal.Words(c.Name), names) && strings.HasPrefix(cityOf(c), strings.Join(city, " "))
	}
	page, err := v.find(prefix, s.ID, at, limit, keep)
	if err != nil {
		return CustomerPage{}, err
	}
	return CustomerPage{page.rows, page.next}, nil
}

// begin says whether each of the beginnings begins a word.
func begin(words, beginnings []string) bool {
	for _, b := range beginnings {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, b) }) {
			return false
		}
	}
	return true
}

// What a pending change waits for.
const (
	WaitsForConfirmation = "confirmation" // the customer has been asked by mail
	WaitsForMail         = "mail"         // that mail did not arrive: somebody has to do something
	WaitsForDate         = "date"         // it is confirmed and takes effect later
)

// WaitsFor says what a customer's pending change waits for, empty if there is none.
func WaitsFor(p *schemas.PendingChange) string {
	switch {
	case p == nil:
		return ""
	case p.Status == string(customer.Scheduled):
		return WaitsForDate
	case p.Undeliverable != "":
		return WaitsForMail
	}
	return WaitsForConfirmation
}

// WaitingChanges returns at most limit customers with a pending change, the longest waiting first. waitsFor, if not empty, is for what. Errors:
// ErrCursor, ErrWaitsFor, *eos.NotReadyError. The cursor has a time and an id in it, nothing else.
func WaitingChanges(v *View[*schemas.CustomerState], waitsFor, cursor string, limit int) (CustomerPage, error) {
	at, err := parseCursor(cursor)
	if err != nil {
		return CustomerPage{}, err
	}
	if waitsFor != "" && !slices.Contains(Waits(), waitsFor) {
		return CustomerPage{}, ErrWaitsFor
	}
	page, err := v.find(waitsEntry+cmp.Or(waitsFor, "all")+"/", "", at, limit, func(c *schemas.CustomerState) bool { return c.Pending != nil })
	if err != nil {
		return CustomerPage{}, err
	}
	return CustomerPage{page.rows, page.next}, nil
}

// Waits are what a change can wait for.
func Waits() []string { return []string{WaitsForConfirmation, WaitsForMail, WaitsForDate} }

// The look-up entries of a customer. customerIndex names what they are: another one makes every view index its rows again.
const (
	customerIndex = "find.1"
	nameEntry     = "name/"
	cityEntry     = "city/"
	waitsEntry    = "waits/"
)

func customerEntries(s *schemas.CustomerState) []string {
	var entries []string
	if s.Email != "" { // else nobody has registered the customer
		entries = append(entries, emailEntry(s.Email))
	}
	for _, word := range postal.Words(s.Name) {
		entries = append(entries, nameEntry+word)
	}
	if city := cityOf(s); city != "" && s.Name != "" {
		entries = append(entries, cityEntry+city)
	}
	if s.Pending != nil {
		since := fmt.Sprintf("%016x", s.Pending.RequestedAt)
		entries = append(entries, waitsEntry+"all/"+since, waitsEntry+WaitsFor(s.Pending)+"/"+since)
	}
	slices.Sort(entries)
	return slices.Compact(entries)
}

func cityOf(s *schemas.CustomerState) string {
	return strings.Join(postal.Words(s.Address.Address.City), " ")
}

// rowPage is a page of rows.
type rowPage[T schemas.Record] struct {
	rows []T
	next string
}

// find reads a page by the index, or by the keys if there is no prefix of it.
func (v *View[T]) find(prefix, key string, at eos.Place, limit int, keep func(T) bool) (rowPage[T], error) {
	var broken error
	decoded := func(_ string, value []byte) bool {
		row, err := v.decode(value)
		broken = errors.Join(broken, err)
		return err == nil && keep(row)
	}
	var page eos.Page
	var err error
	switch {
	case at != (eos.Place{}) && (!strings.HasPrefix(at.Entry+"\x00", prefix) || prefix == "" && at.Entry != ""):
		return rowPage[T]{}, ErrCursor
	case prefix == "":
		page, err = v.Keys(key, at.Key, limit, decoded)
	default:
		page, err = v.Find(prefix, at, limit, decoded)
	}
	if err := errors.Join(err, broken); err != nil {
		return rowPage[T]{}, err
	}
	f := rowPage[T]{next: cursorOf(page.Next)}
	for _, h := range page.Hits {
		row, err := v.decode(h.Row)
		if err != nil {
			return rowPage[T]{}, err
		}
		f.rows = append(f.rows, row)
	}
	return f, nil
}

func cursorOf(p eos.Place) string {
	if p == (eos.Place{}) {
		return ""
	}
	return encodeCursor(p.Entry, p.Key)
}

func encodeCursor(entry, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(entry + "\x00" + key))
}

func parseCursor(s string) (eos.Place, error) {
	if s == "" {
		return eos.Place{}, nil
	}
	if len(s) > maxCursor {
		return eos.Place{}, ErrCursor
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	entry, key, ok := strings.Cut(string(text), "\x00")
	if err != nil || !ok || key == "" {
		return eos.Place{}, ErrCursor
	}
	return eos.Place{Entry: entry, Key: key}, nil
}

// Since is for how long a change has waited.
func Since(p *schemas.PendingChange, now time.Time) time.Duration {
	return max(0, now.Sub(schemas.Time(p.RequestedAt)))
}

// Customers is a view of the customers that finds them.
type Customers struct{ *View[*schemas.CustomerState] }

// Search is FindCustomers.
func (c Customers) Search(s Search, cursor string, limit int) (CustomerPage, error) {
	return FindCustomers(c.View, s, cursor, limit)
}

// Waiting is WaitingChanges.
func (c Customers) Waiting(waitsFor, cursor string, limit int) (CustomerPage, error) {
	return WaitingChanges(c.View, waitsFor, cursor, limit)
}
