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

// letter is one mail's text in one language. {name}, {address} and {until} are filled in here; what stands in double
// braces is left for the mailer, which signs links at the moment of sending.
type letter struct{ subject, text, html string }

// letters are all texts that the customer flow sends, by kind and language.
type letters map[string]letter

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
			all[name] = letter{subject: subject, text: body, html: string(page)}
		}
	}
	return all, nil
}

// write fills a letter in for a customer with a pending change, in the customer's language if it is one of ours.
func (l letters) write(kind string, s customer.State) letter {
	language, _, _ := strings.Cut(strings.ToLower(string(s.Language)), "-")
	out, ok := l[kind+"."+language]
	if !ok {
		out = l[kind+".en"]
	}
	name, address, until := string(s.Name), addressLines(s.Change.Address), s.Change.ExpiresAt.UTC().Format("2006-01-02 15:04 MST")
	out.text = fill(out.text, name, address, until)
	out.html = fill(out.html, html.EscapeString(name), html.EscapeString(address), until)
	return out
}

// fill makes one pass, so that a name or an address cannot bring a placeholder of its own to life, and breaks up the
// braces in what people wrote, in which the mailer would look for a link.
func fill(text, name, address, until string) string {
	return strings.NewReplacer("{name}", harmless(name), "{address}", harmless(address), "{until}", until).Replace(text)
}

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
