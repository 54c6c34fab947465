package eos

import (
	"context"
	"fmt"
	"log/slog"
)

// gokaLogger passes Goka's messages on at debug level: they tell of its inner steps. What concerns people is logged by the engine.
type gokaLogger struct{ l *slog.Logger }

func (g gokaLogger) log(message string) {
	g.l.LogAttrs(context.Background(), slog.LevelDebug, "goka", slog.String("message", message))
}

// Print implements goka.Logger.
func (g gokaLogger) Print(args ...any) { g.log(fmt.Sprint(args...)) }

// Println implements goka.Logger.
func (g gokaLogger) Println(args ...any) { g.log(fmt.Sprint(args...)) }

// Printf implements goka.Logger.
func (g gokaLogger) Printf(format string, args ...any) {
	if g.l.Enabled(context.Background(), slog.LevelDebug) {
		g.log(fmt.Sprintf(format, args...))
	}
}
