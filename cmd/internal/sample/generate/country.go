package main

import (
	"fmt"
	"strings"
)

// country is one block of countries.txt.
type country struct {
	code, language, order, host string
	men, women, family          []name
	streets, forms, extras      []string
	places                      []*place
}

// place is a city with what its addresses share; its own streets and language win over the country's.
type place struct {
	city, region, district, postCode, language string
	streets                                    []string
}

// name is a given name or surname in its own script, its form for women, and a Latin spelling.
type name struct {
	native, female, latin string
}

// parse reads countries.txt. A line that it does not understand is an error with its number: a typing mistake must
// not become a country without streets.
func parse(text string) ([]*country, error) {
	var all []*country
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \t")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "country" {
			c, err := parseCountry(rest)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			all = append(all, c)
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("line %d: %q before the first country", i+1, word)
		}
		if err := all[len(all)-1].parse(word, rest); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, c := range all {
		if len(c.men) == 0 || len(c.women) == 0 || len(c.family) == 0 || len(c.forms) == 0 || len(c.places) == 0 {
			return nil, fmt.Errorf("country %s is not complete", c.code)
		}
	}
	return all, nil
}

func parseCountry(rest string) (*country, error) {
	f := strings.Split(rest, "; ")
	if len(f) != 3 {
		return nil, fmt.Errorf("country %q: want code; language; order", rest)
	}
	return &country{code: f[0], language: f[1], order: f[2]}, nil
}

// parse takes one line of a block.
func (c *country) parse(word, rest string) error {
	switch word {
	case "host":
		c.host = rest
	case "men":
		c.men = names(rest)
	case "women":
		c.women = names(rest)
	case "family":
		c.family = names(rest)
	case "form":
		c.forms = append(c.forms, rest)
	case "extra":
		c.extras = append(c.extras, rest)
	case "streets":
		if len(c.places) > 0 {
			c.places[len(c.places)-1].streets = strings.Split(rest, ", ")
			break
		}
		c.streets = strings.Split(rest, ", ")
	case "place":
		f := strings.Split(rest, ";")
		if len(f) != 4 && len(f) != 5 {
			return fmt.Errorf("place %q: want city; region; district; post code[; language]", rest)
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		p := &place{city: f[0], region: f[1], district: f[2], postCode: f[3]}
		if len(f) == 5 {
			p.language = f[4]
		}
		c.places = append(c.places, p)
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return nil
}

// names reads "native|female/latin, ...".
func names(list string) []name {
	var all []name
	for entry := range strings.SplitSeq(list, ", ") {
		both, latin, _ := strings.Cut(entry, "/")
		native, female, ok := strings.Cut(both, "|")
		if !ok {
			female = native
		}
		if latin == "" {
			latin = native
		}
		all = append(all, name{native: native, female: female, latin: latin})
	}
	return all
}
