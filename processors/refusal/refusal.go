// Package refusal is what the cores have in common about the errors that they refuse commands with: each has a stable code.
package refusal

import "errors"

// Table lists the refusals of a core in the order in which a command meets them. A code never changes; texts may.
type Table []struct {
	Err  error // a sentinel
	Code string
}

// Code is the stable code of a refusal; empty for any other error.
func (t Table) Code(err error) string {
	for _, r := range t {
		if errors.Is(err, r.Err) {
			return r.Code
		}
	}
	return ""
}

// Errors are the sentinels.
func (t Table) Errors() []error {
	all := make([]error, 0, len(t))
	for _, r := range t {
		all = append(all, r.Err)
	}
	return all
}
