package main

import (
	"bytes"
	"testing"

	"utopia/cmd/internal/sample"
)

// The committed file is what the committed tables make: neither is edited without the other.
func TestGenerateMakesTheCommittedBytes(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), sample.CSV()) {
		t.Fatal("people.csv differs from what the tables make; run: go run ./cmd/internal/sample/generate > cmd/internal/sample/people.csv")
	}
}

func TestParseRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a word before the first country": "men Karl",
		"a country without an order":      "country DE; de",
		"an unknown word":                 "country DE; de; {g} {f}\nmne Karl",
		"a place with three fields":       "country DE; de; {g} {f}\nplace Berlin; ; ",
		"a country without places":        "country DE; de; {g} {f}\nmen Karl\nwomen Anna\nfamily Weiß\nform {s}",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
