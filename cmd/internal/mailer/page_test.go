package mailer

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"utopia/processors/letters"
	"utopia/schemas"
)

// elements returns the element names of a page, the addresses that it links to or fetches, and its text.
func elements(t interface{ Fatal(...any) }, page string) (names, urls []string, text string) {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		switch n.Type { //nolint:exhaustive // the others are neither shown nor fetched
		case html.TextNode:
			text += n.Data
		case html.ElementNode:
			names = append(names, n.Data)
			for _, a := range n.Attr {
				if slices.Contains([]string{"href", "src", "srcset", "background", "action", "data", "poster"}, a.Key) || strings.HasPrefix(a.Key, "on") {
					urls = append(urls, a.Val)
				}
			}
		}
	}
	return names, urls, text
}

// TestEveryLetterHasAnHTMLPart: in every language the link is a button with a label, and is there as text too; the page
// fetches nothing.
func TestEveryLetterHasAnHTMLPart(t *testing.T) {
	c := testComposer(t)
	for _, language := range letters.Languages() {
		for _, kind := range []letters.Kind{letters.Confirmation, letters.Reminder, letters.Address, letters.Email} {
			l := letters.Write(kind, language, letters.Gaps{Name: "Zoë & <Co>", Address: "Markt 1\n2801 JG Gouda\nNL", Until: noon})
			r := toSend()
			r.Language, r.Subject, r.Text, r.HTML = l.Language, l.Subject, l.Text, ""
			r.Links = append(r.Links, schemas.Link{Name: "reject", Purpose: "cancel_address_change", Subject: "c-17", Change: "x1", ExpiresAt: r.Links[0].ExpiresAt})
			want := 2
			if kind == letters.Address || kind == letters.Email {
				r.Links, want = nil, 0
			}
			text, page, err := c.sign(r, noon)
			if err != nil {
				t.Fatal(err)
			}
			names, urls, shown := elements(t, page)
			if len(urls) != want || strings.Contains(page, "{{") {
				t.Errorf("%s %s: links %q", language, kind, urls)
			}
			for _, u := range urls {
				if strings.Count(shown, u) != 1 || !strings.Contains(text, ":\n"+u+"\n") || !strings.HasPrefix(u, "https://example.com/confirm?a=1&b=2#v1.") {
					t.Errorf("%s %s: %s is not to be read in both parts", language, kind, u)
				}
			}
			for _, name := range names {
				if !slices.Contains([]string{"html", "head", "meta", "title", "body", "div", "p", "a", "br"}, name) {
					t.Errorf("%s %s: <%s>", language, kind, name)
				}
			}
			if !strings.Contains(page, `<html lang="`+language+`"`) || !strings.Contains(shown, "Zoë & <Co>,") || !strings.Contains(shown, l.Subject) {
				t.Errorf("%s %s:\n%s", language, kind, page)
			}
			if want == 2 && !strings.Contains(page, "Markt 1<br>\n2801 JG Gouda<br>\nNL</p>") {
				t.Errorf("%s %s: the address is not in lines:\n%s", language, kind, page)
			}
		}
	}
}

// TestNobodyWritesHTML: whatever the text and the subject say, they are text on the page, and only our links are links.
func TestNobodyWritesHTML(t *testing.T) {
	c := testComposer(t)
	wild := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`(<(script|img src=x|a href="javascript:x"|/p|/style|!--)>|"|'|&amp;|&#60;|\{\{link:confirm\}\}|javascript:|\r?\n){0,12}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		r := toSend()
		r.HTML, r.Subject, r.Text, r.Language = "", wild.Draw(t, "subject"), wild.Draw(t, "text"), wild.Draw(t, "language")
		_, page, err := c.sign(r, noon)
		if err != nil {
			t.Fatal(err)
		}
		names, urls, _ := elements(t, page)
		for _, name := range names {
			if !slices.Contains([]string{"html", "head", "meta", "title", "body", "div", "p", "a", "br"}, name) {
				t.Fatalf("<%s> in\n%s", name, page)
			}
		}
		for _, u := range urls {
			if !strings.HasPrefix(u, "https://example.com/confirm?a=1&b=2#v1.k1.") {
				t.Fatalf("a link to %q", u)
			}
		}
	})
}

func TestALinkWithoutALabel(t *testing.T) {
	r := toSend()
	r.HTML, r.Text = "", "{{link:confirm}}\n\nor {{link:confirm}} it is"
	_, page, err := testComposer(t).sign(r, noon)
	if err != nil {
		t.Fatal(err)
	}
	_, urls, shown := elements(t, page)
	if len(urls) != 1 || strings.Count(shown, urls[0]) != 3 {
		t.Errorf("links %q in\n%s", urls, page)
	}
}
