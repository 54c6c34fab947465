package main

import (
	"testing"

	"utopia/processors"
)

func TestWhoHasAppliedAReceipt(t *testing.T) {
	moved := processors.Receipt{Aggregate: "customer", Key: "c-1", Version: 3}
	erased := processors.Receipt{Aggregate: "customer", Key: "c-1", Version: 5, Gone: true}
	for name, test := range map[string]struct {
		receipt processors.Receipt
		in      string
		found   bool
		version int64
		want    bool
	}{
		"a state at the version":                                 {moved, "customer", true, 3, true},
		"a state behind it":                                      {moved, "customer", true, 2, false},
		"no state yet":                                           {moved, "customer", false, 0, false},
		"a state that is gone":                                   {erased, "customer", false, 0, true},
		"a state that is not gone yet":                           {erased, "customer", true, 4, false},
		"billing at the version":                                 {moved, "billing", true, 3, true},
		"billing behind it":                                      {moved, "billing", true, 2, false},
		"billing that has not heard of the customer":             {moved, "billing", false, 0, false},
		"billing that has forgotten the customer":                {erased, "billing", true, 5, true},
		"billing that still has the customer":                    {erased, "billing", true, 4, false},
		"billing that was away for all of the customer's life":   {erased, "billing", false, 0, false},
		"notification that has heard of the tombstone, and when": {erased, "notification", true, 5, true},
		"notification that only knows that the customer is gone": {erased, "notification", true, 0, false},
	} {
		if got := applied(test.receipt, test.in, test.found, test.version); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
