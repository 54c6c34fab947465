//go:build unix

package run

import (
	"os/signal"
	"syscall"
)

// tooLargeIsAnError makes a write beyond the largest file that this process may have (RLIMIT_FSIZE) fail like one to a full
// disk. Otherwise it is a signal, and the process dies with a dump of its goroutines instead of a sentence.
func tooLargeIsAnError() { signal.Ignore(syscall.SIGXFSZ) }
