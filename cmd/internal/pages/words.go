package pages

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"
)

//go:embed words/*.txt
var wordFiles embed.FS

// words are the sentences of the pages that customers see, in one language, by name. A new language is a new file; a test
// says what it lacks.
type words struct {
	Language  string
	sentences map[string]string
}

// Say returns the sentence called name.
func (w words) Say(name string) string { return w.sentences[name] }

// on fills the gap of a sentence with a moment.
func (w words) on(name string, at time.Time) string {
	return strings.ReplaceAll(w.sentences[name], "{date}", at.UTC().Format("2006-01-02 15:04 MST"))
}

// dictionary finds the words for a browser.
type dictionary struct {
	all     []words // English first: what everybody else gets
	matcher language.Matcher
}

func readDictionary() (*dictionary, error) {
	files, err := wordFiles.ReadDir("words")
	if err != nil {
		return nil, fmt.Errorf("words: %w", err)
	}
	var d dictionary
	for _, file := range files {
		b, err := wordFiles.ReadFile("words/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("words: %w", err)
		}
		w := words{Language: strings.TrimSuffix(file.Name(), ".txt"), sentences: map[string]string{}}
		for line := range strings.Lines(string(b)) {
			name, sentence, ok := strings.Cut(strings.TrimSpace(line), " = ")
			if _, twice := w.sentences[name]; !ok || twice {
				return nil, fmt.Errorf("words of %s: %q is no new NAME = SENTENCE", w.Language, name)
			}
			w.sentences[name] = sentence
		}
		d.all = append(d.all, w)
	}
	slices.SortFunc(d.all, func(a, b words) int { return strings.Compare(rank(a), rank(b)) })
	var tags []language.Tag
	for _, w := range d.all {
		tags = append(tags, language.Make(w.Language))
	}
	d.matcher = language.NewMatcher(tags)
	return &d, nil
}

func rank(w words) string {
	if w.Language == "en" {
		return ""
	}
	return w.Language
}

// speak returns the words for what a browser says it reads, RFC 9110, section 12.5.4.
func (d *dictionary) speak(acceptLanguage string) words {
	_, i := language.MatchStrings(d.matcher, acceptLanguage)
	return d.all[i]
}
