// Command billing runs the billing service: invoices, and the address that each
// of them was issued to. It listens to customers and works on while their service
// is down.
package main

import (
	"os"

	"utopia/cmd/internal/run"
	"utopia/cmd/internal/service"
	"utopia/processors"
	"utopia/topics"
)

func main() { os.Exit(run.Main(service.Run(spec()))) }

func spec() service.Spec {
	return service.Spec{
		Group: topics.Billing, Short: "Invoices, and the address that each of them goes to", HTTP: "127.0.0.1:9102", New: processors.NewBilling,
	}
}
