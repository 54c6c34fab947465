package postal_test

import (
	"strings"
	"testing"

	"utopia/processors/postal"
)

func TestWordsAreFolded(t *testing.T) {
	for text, want := range map[string]string{
		"Grace  HOPPER":              "grace hopper",
		"Søren Łukasz-Ðorđe":         "soren lukasz dorde",
		"Müller-Straße, José":        "muller strasse jose",
		"O’Brien & Sons":             "o brien sons",
		"ÎLE-DE-FRANCE":              "ile de france",
		"東京都 が":                      "東京都 が",
		"हिन्दी":                     "हिन्दी",
		"ǅ":                          "dz",
		"İstanbul Iğdır":             "istanbul igdir",
		"!? —":                       "",
		strings.Repeat("x", 40):      strings.Repeat("x", 32),
		strings.Repeat("a b ", 1000): "a b a b a b a b",
	} {
		if got := strings.Join(postal.Words(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
