package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"utopia/cmd/internal/cli"
	"utopia/processors"
	"utopia/schemas"
)

type notificationView struct {
	ID              string       `json:"id"`
	Version         int64        `json:"version"`
	Receipt         string       `json:"receipt"`
	CustomerVersion int64        `json:"customerVersion"`
	Status          string       `json:"status"`
	Asked           int64        `json:"asked"`
	Delivered       int64        `json:"delivered"`
	Failed          int64        `json:"failed"`
	Notices         []noticeView `json:"notices"`
}

type noticeView struct {
	Version         int64    `json:"version"`
	Kind            string   `json:"kind"`
	CustomerVersion int64    `json:"customerVersion"`
	At              string   `json:"at"`
	Mails           []string `json:"mails"`
}

func viewNotification(n *schemas.NotificationState) notificationView {
	v := notificationView{
		ID: n.CustomerID, Version: n.Version, CustomerVersion: n.CustomerVersion, Status: n.Status,
		Asked: n.Asked, Delivered: n.Delivered, Failed: n.Failed, Notices: []noticeView{},
		Receipt: processors.Receipt{Aggregate: "notification", Key: n.CustomerID, Version: n.Version}.String(),
	}
	for _, notice := range n.Notices {
		v.Notices = append(v.Notices, noticeView{
			Version: notice.Version, Kind: notice.Kind, CustomerVersion: notice.CustomerVersion, At: stamp(schemas.Time(notice.At)), Mails: notice.Mails,
		})
	}
	return v
}

func (a *app) notificationsCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list ID", Short: "Show what a customer was told, and what became of each mail",
		Example: "utopia notifications list c-17 -o yaml", Args: cli.Args("ID"),
	}
	reads(a, list, "notification", processors.NewNotificationView, func(n *schemas.NotificationState, out format) error {
		v := viewNotification(n)
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
