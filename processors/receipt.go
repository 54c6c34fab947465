package processors

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrReceipt says that a text is not a receipt.
var ErrReceipt = errors.New("not a receipt: want AGGREGATE/KEY@VERSION as a reply printed it, for example customer/c-17@4")

// Receipt says how far an aggregate had come when a command was answered. A view has reached it when its row's version
// is at least Version or, for a receipt of an erasure, when the row is gone.
type Receipt struct {
	Aggregate string
	Key       string
	Version   int64
	Gone      bool
}

// String returns the receipt as people copy it: customer/c-17@4, or customer/c-17@5:gone after an erasure.
func (r Receipt) String() string {
	s := fmt.Sprintf("%s/%s@%d", r.Aggregate, r.Key, r.Version)
	if r.Gone {
		s += ":gone"
	}
	return s
}

// ParseReceipt is the reverse of String. ErrReceipt.
func ParseReceipt(s string) (Receipt, error) {
	aggregate, rest, ok := strings.Cut(s, "/")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 1 || aggregate == "" {
		return Receipt{}, ErrReceipt
	}
	number, gone := strings.CutSuffix(rest[at+1:], ":gone")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil || version < 0 {
		return Receipt{}, ErrReceipt
	}
	return Receipt{Aggregate: aggregate, Key: rest[:at], Version: version, Gone: gone}, nil
}

// Reached says whether a row of this version (0 for no row) is at least as fresh as the receipt.
func (r Receipt) Reached(version int64) bool {
	if r.Gone {
		return version == 0 || version > r.Version
	}
	return version >= r.Version
}
