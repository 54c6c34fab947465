package refusal_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"utopia/processors/refusal"
)

func TestCodesOfErrors(t *testing.T) {
	early, late := errors.New("too early"), errors.New("too late")
	table := refusal.Table{{early, "early"}, {late, "late"}}
	for err, want := range map[error]string{early: "early", fmt.Errorf("the shop: %w", late): "late", errors.New("too late"): "", nil: ""} {
		if got := table.Code(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if got := table.Errors(); !slices.Equal(got, []error{early, late}) {
		t.Errorf("%v", got)
	}
}
