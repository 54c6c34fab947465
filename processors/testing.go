//go:build synctests

package processors

import "utopia/processors/eos"

// Sabotage makes a group, and its engine, commit the named mistakes that the function says yes to. It is for the test of the tests, and
// there is no other way to set it.
func (o *Options) Sabotage(mistake func(string) bool) {
	o.sabotage = mistake
	o.Engine.Sabotage(mistake)
}

// Sabotage is the same for a view.
func (o *ViewOptions) Sabotage(mistake func(string) bool) {
	o.change = func(c *eos.ViewConfig) { c.Sabotage(mistake) }
}
