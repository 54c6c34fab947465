// Command utopia is the command line of the system: it asks for changes and
// shows what became of them, moves records in and out of topics, compares the
// cluster with the catalogue, and runs the whole system in one process.
//
// It deliberately keeps no state of its own and decides no business rule.
package main

import (
	"os"

	"utopia/cmd/internal/run"
)

func main() { os.Exit(run.Main(execute)) }
