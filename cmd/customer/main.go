// Command customer runs the customer service: it decides about commands, keeps
// the events, and publishes changes and states of customers.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/config"
	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/processors"
	"utopia/topics"
)

func main() { os.Exit(run.Main(service.Run(spec()))) }

func spec() service.Spec {
	return service.Spec{
		Group: topics.Customer, Short: "Decides about customers: registration, address changes, erasure", HTTP: "127.0.0.1:9101",
		Sets: config.Query, New: processors.NewCustomer, More: querySide,
		Commands: []func(service.Spec, service.Streams) *cobra.Command{rebuildCommand},
	}
}
