package customer_test

import (
	"fmt"
	"time"

	"utopia/processors/customer"
	"utopia/processors/postal"
)

// A customer registers, asks to move, and confirms. The core is three functions and a value; time and identifiers come
// in with the commands.
func Example() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	gouda, err := postal.Parse(postal.Fields{Country: "NL", PostCode: "2801 JG", City: "Gouda", Street: "Markt 1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	porto, err := postal.Parse(postal.Fields{Country: "PT", PostCode: "4050-014", City: "Porto", Street: "Rua de Santa Catarina 12"})
	if err != nil {
		fmt.Println(err)
		return
	}

	var state customer.State
	for _, c := range []customer.Command{
		customer.Register{Name: "Saskia", Email: "saskia@example.org", Language: "nl", Address: gouda},
		customer.RequestChange{ChangeID: "c-1", Address: porto, Reason: customer.ReasonMoved},
		customer.ConfirmChange{ChangeID: "c-1"},
		customer.ConfirmChange{ChangeID: "c-1"},
	} {
		events, err := customer.Decide(state, c, now)
		if err != nil {
			fmt.Println("refused:", customer.Code(err))
			continue
		}
		for _, e := range events {
			state = customer.Evolve(state, e)
			fmt.Printf("%d %T\n", state.Version, e)
		}
		for _, d := range customer.Due(state) {
			fmt.Println("  due:", d.Kind, "after", d.At.Sub(now))
		}
		now = now.Add(time.Hour)
	}
	fmt.Println(state.Address.Address.Fields().City, "by version", state.Address.Version)
	// Output:
	// 1 customer.Registered
	// 2 customer.ChangeRequested
	//   due: RemindConfirmation after 24h0m0s
	//   due: ExpireAddressChange after 72h0m0s
	// 3 customer.Moved
	// refused: no_pending_change
	// Porto by version 3
}
