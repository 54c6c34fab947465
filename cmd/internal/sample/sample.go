// Package sample holds the people that `utopia up --demo` imports: two thousand invented customers with addresses of
// 45 countries in their own scripts. It is data and its reader; what the people do is the demo's business.
package sample

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
)

//go:embed people.csv
var people []byte

// Person is one row, as text and not validated: what an import file is before `utopia customer import` has read it.
// Street holds its lines separated by \n; a field that the country does not use is empty.
type Person struct {
	ID, Name, Email, Language                                      string
	Country, Region, City, District, PostCode, SortingCode, Street string
}

// CSV returns the file as it is shipped, with its header: the import format of `utopia customer import`. The bytes are
// the caller's own.
func CSV() []byte { return bytes.Clone(people) }

// People returns all rows in the order of the file. It fails only if the embedded file is broken, which a test excludes.
func People() ([]Person, error) {
	r := csv.NewReader(bytes.NewReader(people))
	r.FieldsPerRecord = 11
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the sample people: %w", err)
	}
	all := make([]Person, 0, len(rows))
	for _, row := range rows[1:] {
		all = append(all, Person{
			ID: row[0], Name: row[1], Email: row[2], Language: row[3], Country: row[4], Region: row[5], City: row[6],
			District: row[7], PostCode: row[8], SortingCode: row[9], Street: row[10],
		})
	}
	return all, nil
}
