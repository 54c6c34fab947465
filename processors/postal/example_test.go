package postal_test

import (
	"errors"
	"fmt"

	"utopia/processors/postal"
)

// An address is read once, where it comes in. What its country refuses names the field.
func ExampleParse() {
	a, err := postal.Parse(postal.Fields{Country: "DE", PostCode: "10115", City: " Berlin ", Street: "Invalidenstraße 117"})
	fmt.Println(a.Fields().City, err)

	_, err = postal.Parse(postal.Fields{Country: "DE", PostCode: "1011", City: "Berlin", Street: "Invalidenstraße 117"})
	fmt.Println(err)
	fmt.Println(errors.Is(err, postal.ErrPostCode), postal.Code(err))

	// A fact is kept as it was told.
	_, verified, err := postal.AsWritten(postal.Fields{Country: "DE", PostCode: "1011", City: "Berlin"})
	fmt.Println(verified, err)
	// Output:
	// Berlin <nil>
	// post code: does not have the form that the country uses
	// true post_code
	// false <nil>
}
