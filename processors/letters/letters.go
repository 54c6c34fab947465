// Package letters is what the services write to customers: one file of texts for each language, and the filling of their
// gaps. It sends nothing and writes no HTML: the mailer makes the HTML part from the text, so that a letter travels once.
//
// A new language is a new file; a test says which text or gap it lacks.
package letters

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"
)

//go:embed *.txt
var files embed.FS

// Kind says what a letter is about.
type Kind string

// The kinds of letters.
const (
	Confirmation Kind = "confirmation" // asks whether an address change is wanted
	Reminder     Kind = "reminder"     // asks once more
	Address      Kind = "address"      // tells that the address has changed
	Email        Kind = "email"        // tells that the e-mail address has changed
)

// fallback is the language of whoever reads none of ours.
const fallback = "en"

// Gaps is what differs from letter to letter. A letter names no address that has changed: a mailbox may be somebody
// else's by now.
type Gaps struct {
	Name    string
	Address string    // its lines separated by \n; of the letters that ask
	Until   time.Time // of the letters that ask
}

// Letter is the text of a mail. What stands in double braces is a link that the mailer signs at the moment of sending; the
// line before it says what the link does.
type Letter struct {
	Language string // of the text, RFC 5646
	Subject  string
	Text     string
}

// form is a letter with gaps.
type form struct {
	subject string
	text    gapped
}

// forms are all letters by language and kind.
//
//nolint:gochecknoglobals // Embedded texts, read once: one that cannot be read fails every test, not a customer's record.
var forms = must(read(files))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Languages returns the languages that letters are written in.
func Languages() []string {
	var all []string
	for language := range forms {
		all = append(all, language)
	}
	slices.Sort(all)
	return all
}

// Write fills a letter in, in the language of the tag or, where it is not spoken here, in English. The same arguments give
// the same bytes.
func Write(kind Kind, tag string, g Gaps) Letter {
	language, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if forms[language] == nil {
		language = fallback
	}
	f := forms[language][kind]
	return Letter{Language: language, Subject: f.subject, Text: f.text.fill(map[string]string{
		"{name}":    harmless(strings.Join(strings.Fields(g.Name), " ")), // a line, whatever people are called
		"{address}": harmless(g.Address),
		"{until}":   g.Until.UTC().Format("2006-01-02 15:04 MST"),
	})}
}

func read(from embed.FS) (map[string]map[Kind]form, error) {
	names, err := from.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("letters: %w", err)
	}
	all := map[string]map[Kind]form{}
	for _, file := range names {
		b, err := from.ReadFile(file.Name())
		if err != nil {
			return nil, fmt.Errorf("letters: %w", err)
		}
		one, err := parse(string(b))
		if err != nil {
			return nil, fmt.Errorf("letters of %s: %w", file.Name(), err)
		}
		all[strings.TrimSuffix(file.Name(), ".txt")] = one
	}
	return all, nil
}

// parse reads the letters of one language: each begins with a line "=== KIND", a line with the subject and an empty one.
func parse(text string) (map[Kind]form, error) {
	letters := map[Kind]form{}
	for part := range strings.SplitSeq("\n"+text, "\n=== ") {
		if part == "" {
			continue // before the first
		}
		kind, rest, _ := strings.Cut(part, "\n")
		head, body, ok := strings.Cut(rest, "\n\n")
		subject, ok2 := strings.CutPrefix(head, "Subject: ")
		if !ok || !ok2 || strings.Contains(subject, "\n") {
			return nil, fmt.Errorf("%s has no subject of one line", kind)
		}
		if _, twice := letters[Kind(kind)]; twice {
			return nil, fmt.Errorf("%s is there twice", kind)
		}
		letters[Kind(kind)] = form{subject: subject, text: cutAtGaps(strings.TrimSpace(body) + "\n")}
	}
	return letters, nil
}

// gapped is a text cut at its gaps. What stands in double braces is no gap. Cut once, a text is filled in one pass, so that
// what people wrote cannot open a gap of its own.
type gapped []string // text, gap, text, gap, text ...

func cutAtGaps(text string) gapped {
	var g gapped
	for {
		first, gap := len(text), ""
		for _, name := range []string{"{name}", "{address}", "{until}"} {
			if i := strings.Index(text, name); i >= 0 && i < first {
				first, gap = i, name
			}
		}
		g = append(g, text[:first])
		if gap == "" {
			return g
		}
		g = append(g, gap)
		text = text[first+len(gap):]
	}
}

func (g gapped) fill(gaps map[string]string) string {
	size := 0
	for i, part := range g {
		if i%2 == 1 {
			part = gaps[part]
		}
		size += len(part)
	}
	var b strings.Builder
	b.Grow(size)
	for i, part := range g {
		switch {
		case i%2 == 1:
			part = gaps[part]
		case i+1 < len(g) && gaps[g[i+1]] == "":
			part = strings.TrimSuffix(part, " ") // "Hello," to whom we have no name of
		}
		b.WriteString(part)
	}
	return b.String()
}

// harmless breaks up the braces in what people wrote, in which the mailer would look for a link.
func harmless(s string) string { return strings.ReplaceAll(s, "{", "{\u200b") }
