package processors

import (
	"embed"
	"fmt"
	"html"
	"strings"

	"utopia/processors/customer"
	"utopia/processors/postal"
)

//go:embed letters
var letterFiles embed.FS

// Kinds of letters, and the languages that each is written in. The first is what everybody else gets.
const (
	letterConfirmation = "confirmation"
	letterReminder     = "reminder"
	letterLanguages    = "en de nl fr"
)

// letter is one mail's text in one language.
type letter struct{ subject, text, html string }

// form is a letter with gaps.
type form struct {
	subject    string
	text, html gapped
}

// letters are all texts that the customer flow sends, by kind and language.
type letters map[string]form

func readLetters() (letters, error) {
	all := letters{}
	for _, kind := range []string{letterConfirmation, letterReminder} {
		for language := range strings.SplitSeq(letterLanguages, " ") {
			name := kind + "." + language
			text, err := letterFiles.ReadFile("letters/" + name + ".txt")
			if err != nil {
				return nil, fmt.Errorf("letter: %w", err)
			}
			page, err := letterFiles.ReadFile("letters/" + name + ".html")
			if err != nil {
				return nil, fmt.Errorf("letter: %w", err)
			}
			head, body, ok := strings.Cut(string(text), "\n\n")
			subject, ok2 := strings.CutPrefix(head, "Subject: ")
			if !ok || !ok2 {
				return nil, fmt.Errorf("letter %s has no subject", name)
			}
			all[name] = form{subject: subject, text: cutAtGaps(body), html: cutAtGaps(string(page))}
		}
	}
	return all, nil
}

// write fills a letter in for a customer with a pending change, in the customer's language if it is one of ours.
func (l letters) write(kind string, s customer.State) letter {
	language, _, _ := strings.Cut(strings.ToLower(string(s.Language)), "-")
	f, ok := l[kind+"."+language]
	if !ok {
		f = l[kind+".en"]
	}
	name, address := harmless(string(s.Name)), harmless(addressLines(s.Change.Address))
	until := s.Change.ExpiresAt.UTC().Format("2006-01-02 15:04 MST")
	return letter{
		subject: f.subject, text: f.text.fill(name, address, until),
		html: f.html.fill(html.EscapeString(name), html.EscapeString(address), until),
	}
}

// gapped is a text cut at its gaps {name}, {address} and {until}. What stands in double braces is no gap: the mailer puts
// links there, which it signs at the moment of sending. Cut once, a text is filled in one pass, so that what people wrote
// cannot open a gap of its own.
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

func (g gapped) fill(name, address, until string) string {
	size := len(name) + len(address) + len(until)
	for _, part := range g {
		size += len(part)
	}
	var b strings.Builder
	b.Grow(size)
	for i, part := range g {
		switch {
		case i%2 == 0:
			b.WriteString(part)
		case part == "{name}":
			b.WriteString(name)
		case part == "{address}":
			b.WriteString(address)
		default:
			b.WriteString(until)
		}
	}
	return b.String()
}

// harmless breaks up the braces in what people wrote, in which the mailer would look for a link.
func harmless(s string) string { return strings.ReplaceAll(s, "{", "{\u200b") }

// addressLines is an address for a person to recognise, not a label.
func addressLines(a postal.Address) string {
	f := a.Fields()
	lines := a.Lines()
	for _, line := range []string{f.District, strings.TrimSpace(f.PostCode + " " + f.City + " " + f.SortingCode), f.Region, f.Country} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// Purposes are what the two links of a letter mean; whoever verifies one compares the purpose.
const (
	// PurposeConfirm is the purpose of a link that confirms an address change.
	PurposeConfirm = "confirm_address_change"
	// PurposeCancel is the purpose of a link that takes an address change back.
	PurposeCancel = "cancel_address_change"
)
