package postal_test

import (
	"testing"

	"utopia/processors/postal"
)

func BenchmarkParse(b *testing.B) {
	for _, code := range []string{"NL", "US", "JP"} {
		f := world()[code]
		b.Run(code, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := postal.Parse(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseEmail(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := postal.ParseEmail("saskia.devries@example.org"); err != nil {
			b.Fatal(err)
		}
	}
}
