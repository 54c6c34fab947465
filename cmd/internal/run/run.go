// Package run is what the deployable binaries share around their work: exit
// codes and signals, waiting for the cluster, /livez, /readyz and /metrics, the
// engine's metrics, and an orderly stop.
//
// It deliberately knows no topic, no schema and no processor: a binary hands it
// parts to run.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"utopia/cmd/internal/config"
)

// Exit codes of every binary.
const (
	ExitOK      = 0
	ExitFailure = 1 // it was tried and failed, or a check found something
	ExitUsage   = 2 // the command line or the configuration is wrong; nothing was tried
)

// ErrUsage is wrapped by errors that the person at the command line has to fix.
var ErrUsage = errors.New("usage")

// usageError keeps the sentence free of the word usage.
type usageError struct{ err error }

func (e *usageError) Error() string        { return e.err.Error() }
func (e *usageError) Unwrap() error        { return e.err }
func (e *usageError) Is(target error) bool { return target == ErrUsage }

// Usage makes err a usage error: exit code 2, the same text. Nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

// Usagef is Usage of fmt.Errorf.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// quietError has said what it has to say on the way.
type quietError struct{ err error }

func (e *quietError) Error() string { return e.err.Error() }
func (e *quietError) Unwrap() error { return e.err }

// Quiet marks an error that needs no line of its own, for example because the
// report it stands for is printed: exit code 1 and silence.
func Quiet(err error) error { return &quietError{err} }

// IsQuiet tells whether err was marked by Quiet.
func IsQuiet(err error) bool {
	var q *quietError
	return errors.As(err, &q)
}

// ExitCode translates the result of a binary's run function.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrUsage), errors.Is(err, config.ErrInvalid):
		return ExitUsage
	default:
		return ExitFailure
	}
}

// gcPercent lets garbage grow to one and a half times what lives, instead of once: an instance's live heap is small and bounded (a cache, one transaction), and
// collecting it was a tenth of the CPU of a command. GOGC in the environment has the last word.
const gcPercent = 150

// Main runs f until it returns or the process is told to stop (SIGINT, SIGTERM),
// and returns the exit code. The second signal ends the process at once. An
// error is printed on stderr, unless f has printed it itself.
func Main(f func(ctx context.Context, args []string, stdout, stderr io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	tooLargeIsAnError()
	return ExitCode(f(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Version returns the version of this build, as the module or the repository
// names it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	return version
}
