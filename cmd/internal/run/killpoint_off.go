//go:build !kill

package run

// KillPoint returns nil: this binary is not built for the tests that kill it.
func KillPoint() func(point string) { return nil }
