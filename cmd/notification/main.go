// Command notification runs the notification service: it listens to customers
// and tells them about changes of their address, at the old and the new contact.
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
		Group: topics.Notification, Short: "Tells customers that their address has changed", HTTP: "127.0.0.1:9103", New: processors.NewNotification,
	}
}
