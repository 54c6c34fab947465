//go:build !unix

package run

// tooLargeIsAnError has nothing to do: this system has no such signal.
func tooLargeIsAnError() {}
