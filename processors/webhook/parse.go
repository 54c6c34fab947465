package webhook

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Events returns the names of the changes that can be told.
func Events() []string {
	return []string{"CustomerRegistered", "CustomerMoved", "AddressCorrected", "EmailChanged", "CustomerClosed", "CustomerErased"}
}

// ParseTarget checks where and what is to be told, and changes nothing but the order of the events. ErrURL, ErrEvents or
// ErrPayload. Whether the address behind the URL may be called is known only when it is called.
func ParseTarget(t Target) (Target, error) {
	if !validURL(t.URL) {
		return Target{}, ErrURL
	}
	events := slices.Sorted(slices.Values(t.Events))
	if len(events) > MaxEvents || len(slices.Compact(slices.Clone(events))) != len(events) {
		return Target{}, ErrEvents
	}
	for _, e := range events {
		if !slices.Contains(Events(), e) {
			return Target{}, ErrEvents
		}
	}
	switch t.Payload {
	case Thin, Delta, Whole:
	default:
		return Target{}, ErrPayload
	}
	return Target{URL: t.URL, Events: events, Payload: t.Payload}, nil
}

func validURL(s string) bool {
	if len(s) > MaxURL || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Contains(s, "#") {
		return false
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		n, err := strconv.ParseUint(port, 10, 16)
		return err == nil && n > 0
	}
	return true
}

// ParseOwner checks the name of a caller. ErrOwner.
func ParseOwner(s string) (string, error) {
	if len(s) > 160 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return "", ErrOwner
	}
	return s, nil
}

// ParseKey checks the id of a master key. ErrKey.
func ParseKey(s string) (string, error) {
	if s == "" || len(s) > 32 || !word(s, "_-") {
		return "", ErrKey
	}
	return s, nil
}

// ParseRedelivery checks what is to be told again. ErrCustomer.
func ParseRedelivery(r Redeliver) (Redeliver, error) {
	if len(r.Customer) > 64 || !word(r.Customer, "._~-") {
		return Redeliver{}, ErrCustomer
	}
	return r, nil
}

// ParseReport checks the sender's report. ErrReport.
func ParseReport(r Record) (Record, error) {
	t := r.Trouble
	switch r.Result {
	case Failing, Recovered, GivenUp, Gone:
	default:
		return Record{}, ErrReport
	}
	if t.Partition < 0 || t.Attempts < 0 || t.Attempts > maxAttempts || len(t.Detail) > 64 || !word(t.Detail, "._~-") {
		return Record{}, ErrReport
	}
	t.At = time.Time{}
	return Record{ExpectedVersion: r.ExpectedVersion, Result: r.Result, Trouble: t, ActiveAt: r.ActiveAt}, nil
}

// word reports whether s is made of ASCII letters, digits and the characters of also.
func word(s, also string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(also, c) >= 0:
		default:
			return false
		}
	}
	return true
}
