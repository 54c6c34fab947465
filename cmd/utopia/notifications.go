package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/api"
	"utopia/cmd/internal/cli"
	"utopia/processors"
	"utopia/schemas"
)

func (a *app) notificationsCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list ID", Short: "Show what a customer was told, and what became of each mail",
		Example: "utopia notifications list c-17 -o yaml", Args: cli.Args("ID"),
	}
	reads(a, list, "notification", processors.NewNotificationView, func(n *schemas.NotificationState, out format) error {
		v := api.NotificationOf(n)
		return out.print(a.stdout, v, func() {
			fields(a.stdout, "customer", v.ID, "status", v.Status, "customer version", number(v.CustomerVersion),
				"mails", fmt.Sprintf("%d asked for, %d delivered, %d failed", v.Asked, v.Delivered, v.Failed), "receipt", v.Receipt)
			var rows [][]string
			for _, n := range v.Notices {
				rows = append(rows, []string{number(n.CustomerVersion), n.Kind, n.At, strings.Join(n.Mails, ", ")})
			}
			if len(rows) > 0 {
				line(a.stdout, "")
				table(a.stdout, []string{"CUSTOMER VERSION", "NOTICE", "AT", "MAILS"}, rows)
			}
		})
	})
	return cli.Group("notifications", "What customers were told about their changes", "", list)
}
