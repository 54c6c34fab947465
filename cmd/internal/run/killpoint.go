//go:build kill

package run

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// KillPoint returns a hook that ends this process with SIGKILL at a point of a transaction, for the tests that kill real
// binaries: UTOPIA_KILL_AT=end_sent:3 kills it when the engine has sent its third EndTxn. It is nil if the variable is not
// set. Binaries that are not built for these tests do not contain it.
func KillPoint() func(point string) {
	want, times, _ := strings.Cut(os.Getenv("UTOPIA_KILL_AT"), ":")
	if want == "" {
		return nil
	}
	n, err := strconv.ParseInt(times, 10, 64)
	if err != nil {
		n = 1
	}
	var seen atomic.Int64
	return func(point string) {
		if point == want && seen.Add(1) == n {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
}
