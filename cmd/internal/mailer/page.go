package mailer

import (
	_ "embed"
	"errors"
	"html/template"
	"strings"

	"utopia/schemas"
)

//go:embed page.html
var pageHTML string

// page is the HTML part of every mail that comes as text only: no image, no font, no script, nothing that is fetched when
// the mail is opened. html/template escapes what people wrote, each value for its place.
//
//nolint:gochecknoglobals // A template that cannot be parsed fails every test, not a mail.
var page = template.Must(template.New("page").Parse(pageHTML))

type pageData struct {
	Language, Subject string
	Paragraphs        []paragraph
}

// paragraph is lines, or a link with its label.
type paragraph struct {
	Lines      []string
	URL, Label string
	First      bool // the first link is what the mail is about
}

// htmlPart makes the HTML part of a mail from its text, so that a letter travels once through the topics. A paragraph whose
// last line is a link becomes a button with the lines before it as its label, and below it the address to be read and
// copied. urls are the signed links by placeholder.
func htmlPart(r *schemas.MailToSend, urls map[string]string) (string, error) {
	data := pageData{Language: r.Language, Subject: r.Subject}
	first := true
	for part := range strings.SplitSeq(strings.TrimSpace(strings.ReplaceAll(r.Text, "\r\n", "\n")), "\n\n") {
		lines := strings.Split(part, "\n")
		last := len(lines) - 1
		url := urls[lines[last]]
		if url == "" {
			for i, line := range lines {
				lines[i] = withLinks(line, urls)
			}
			data.Paragraphs = append(data.Paragraphs, paragraph{Lines: lines})
			continue
		}
		label := strings.TrimRight(strings.Join(lines[:last], " "), " :\u00a0\u202f")
		if label == "" {
			label = url
		}
		data.Paragraphs = append(data.Paragraphs, paragraph{URL: url, Label: label, First: first})
		first = false
	}
	var b strings.Builder
	if err := page.Execute(&b, data); err != nil {
		return "", &Failure{Code: codeDefect, Err: errors.New("the HTML part cannot be written")}
	}
	return b.String(), nil
}

// withLinks puts links that stand within a line into it, as text.
func withLinks(line string, urls map[string]string) string {
	for placeholder, url := range urls {
		line = strings.ReplaceAll(line, placeholder, url)
	}
	return line
}
