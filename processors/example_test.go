package processors_test

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors"
	"utopia/processors/kafkaclient"
	"utopia/schemas"
	"utopia/topics"
)

// A view answers when it has read everything that was committed at its start. With the receipt of a reply it waits until it is
// at least that fresh.
func ExampleNewCustomerView() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	options, closeBroker := published(topics.CustomerState, "c-17", &schemas.CustomerState{
		CustomerID: "c-17", Version: 3, Status: "active", Name: "Grace Hopper", Email: "grace@example.org",
		Address: schemas.Residence{Address: schemas.Address{Country: "NL", City: "Gouda"}, Reason: schemas.ReasonMoved, Version: 3},
	})
	defer closeBroker()

	view, err := processors.NewCustomerView(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- view.Run(ctx) }()

	receipt, err := processors.ParseReceipt("customer/c-17@3")
	if err != nil {
		fmt.Println(err)
		return
	}
	customer, err := view.After(ctx, receipt)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(customer.Name, "lives in", customer.Address.Address.City)
	fmt.Println(processors.ByEmail(view, "Grace@example.org"))

	cancel()
	if err := <-ended; err != nil {
		fmt.Println(err)
	}
	// Output:
	// Grace Hopper lives in Gouda
	// [c-17] <nil>
}

// Billing's row says which version of the customer it has applied: that answers "has billing heard of the move?".
func ExampleNewBillingView() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	options, closeBroker := published(topics.BillingState, "c-17", &schemas.BillingState{
		CustomerID: "c-17", Version: 5, CustomerVersion: 3, Status: "active", AddressVersion: 3, Reason: schemas.ReasonMoved,
		Open: []schemas.Invoice{{InvoiceID: "i-1", AmountCents: 1250, Currency: "EUR", AddressVersion: 1, SendTo: 3}},
	})
	defer closeBroker()

	view, err := processors.NewBillingView(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- view.Run(ctx) }()

	row, err := view.After(ctx, processors.Receipt{Aggregate: "billing", Key: "c-17", Version: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("customer version", row.CustomerVersion)
	for _, invoice := range row.Open {
		fmt.Println(invoice.InvoiceID, "was issued to the address of version", invoice.AddressVersion, "and what follows goes to", invoice.SendTo)
	}

	cancel()
	if err := <-ended; err != nil {
		fmt.Println(err)
	}
	// Output:
	// customer version 3
	// i-1 was issued to the address of version 1 and what follows goes to 3
}

// What a customer was told, and what became of each mail.
func ExampleNewNotificationView() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	options, closeBroker := published(topics.NotificationState, "c-17", &schemas.NotificationState{
		CustomerID: "c-17", Version: 4, CustomerVersion: 3, Status: "active", AddressVersion: 3, Asked: 1, Delivered: 1,
		Notices: []schemas.Notice{{Version: 3, Kind: "address", CustomerVersion: 3, Mails: []string{"sent"}}},
	})
	defer closeBroker()

	view, err := processors.NewNotificationView(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- view.Run(ctx) }()

	row, err := view.After(ctx, processors.Receipt{Aggregate: "notification", Key: "c-17", Version: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, notice := range row.Notices {
		fmt.Println("version", notice.CustomerVersion, notice.Kind, notice.Mails)
	}

	cancel()
	if err := <-ended; err != nil {
		fmt.Println(err)
	}
	// Output:
	// version 3 address [sent]
}

// published is a broker on which one public state was committed; closeBroker ends it.
func published(topic topics.Topic, key string, row schemas.Record) (options processors.ViewOptions, closeBroker func()) {
	cluster := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic.Name))
	options = processors.ViewOptions{
		Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, IDs: schemas.NewMemoryIDs(),
	}
	if err := publish(options, topic, key, row); err != nil {
		panic(err)
	}
	return options, cluster.Close
}

func publish(o processors.ViewOptions, topic topics.Topic, key string, row schemas.Record) error {
	codec, err := schemas.NewCodec(topic.Name, o.IDs)
	if err != nil {
		return err
	}
	value, err := codec.Append(nil, row)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.TransactionalID("example")}, o.Client...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	record := &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: value}
	if err := client.ProduceSync(context.Background(), record).FirstErr(); err != nil {
		return err
	}
	return kafkaclient.EndTransaction(context.Background(), client, kgo.TryCommit, record)
}
