// Command generate writes the sample people of the demo, people.csv: invented names, e-mail addresses and postal
// addresses of many countries, each in its own script. It is deterministic: the same tables make the same bytes, so a
// change of the file can be reviewed as a change of the tables. Nothing in it is taken from a real directory; the
// domains are those that RFC 2606 and RFC 6761 reserve for examples.
//
//	go run ./cmd/internal/sample/generate > cmd/internal/sample/people.csv
package main

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// rows is the number of people, seed what makes them.
const (
	rows = 2000
	seed = 20260101
)

//go:embed countries.txt
var countriesText string

// header is the import format of `utopia customer import`.
const header = "id,name,email,language,country,region,city,district,post_code,sorting_code,street"

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write writes the whole file to w.
func write(w io.Writer) error {
	countries, err := parse(countriesText)
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	if err := out.Write(strings.Split(header, ",")); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	g := generator{random: rand.New(rand.NewPCG(seed, seed)), mails: map[string]bool{}}
	for i := range rows {
		// Every country gets the same share; the order is shuffled within each round.
		if i%len(countries) == 0 {
			g.random.Shuffle(len(countries), func(a, b int) { countries[a], countries[b] = countries[b], countries[a] })
		}
		row := g.person(i+1, countries[i%len(countries)])
		for j := range row {
			row[j] = norm.NFC.String(row[j])
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write row %d: %w", i+1, err)
		}
	}
	out.Flush()
	return out.Error()
}

// generator carries what one run has used so far.
type generator struct {
	random *rand.Rand
	mails  map[string]bool
}

// person makes one row in the order of header.
func (g *generator) person(number int, c *country) []string {
	given, family := pick(g, c.men), pick(g, c.family)
	surname := family.native
	if g.random.IntN(2) == 0 {
		given, surname = pick(g, c.women), family.female
	}
	p := pick(g, c.places)
	language := c.language
	if p.language != "" {
		language = p.language
	}
	streets := c.streets
	if len(p.streets) > 0 {
		streets = p.streets
	}
	street := g.fill(pick(g, c.forms), pick(g, streets))
	if len(c.extras) > 0 && g.random.IntN(4) == 0 {
		street += "\n" + g.fill(pick(g, c.extras), "")
	}
	name := strings.NewReplacer("{g}", given.native, "{f}", surname).Replace(c.order)
	return []string{
		fmt.Sprintf("c-%04d", number), name, g.mail(c, given, family, surname), language,
		c.code, p.region, p.city, p.district, g.postCode(p.postCode), "", street,
	}
}

// pick chooses one element.
func pick[T any](g *generator, list []T) T { return list[g.random.IntN(len(list))] }

// fill puts a street and random numbers into a form of address line.
func (g *generator) fill(form, street string) string {
	var b strings.Builder
	for len(form) > 0 {
		if len(form) < 3 || form[0] != '{' || form[2] != '}' {
			b.WriteByte(form[0])
			form = form[1:]
			continue
		}
		switch form[1] {
		case 's':
			b.WriteString(street)
		case 'n':
			fmt.Fprint(&b, 1+g.random.IntN(149))
		case 'm':
			fmt.Fprint(&b, 1+g.random.IntN(12))
		case 'd':
			fmt.Fprint(&b, 1+g.random.IntN(8))
		case 'x':
			b.WriteByte("abcd"[g.random.IntN(4)])
		}
		form = form[3:]
	}
	return b.String()
}

// postCode fills a pattern: '#' is a digit, '@' a letter that is allowed in post codes of every country that has letters.
func (g *generator) postCode(pattern string) string {
	const letters = "ABEGHJLNPRTWXZ"
	b := []byte(pattern)
	for i := range b {
		switch b[i] {
		case '#':
			b[i] = byte('0' + g.random.IntN(10))
		case '@':
			b[i] = letters[g.random.IntN(len(letters))]
		}
	}
	return string(b)
}
