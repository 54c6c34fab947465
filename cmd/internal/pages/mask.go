package pages

import (
	"context"

	"utopia/cmd/internal/timeline"
	"utopia/processors"
	"utopia/schemas"
)

// What follows takes from states what a partner need not see, as the API does: name, e-mail address, language, and where in the
// country. Whatever a page is written to show, it has not got more.

type maskedCustomers struct{ CustomerView }

func (m maskedCustomers) Get(key string) (*schemas.CustomerState, error) {
	return masked(m.CustomerView.Get(key))
}

func (m maskedCustomers) After(ctx context.Context, r processors.Receipt) (*schemas.CustomerState, error) {
	return masked(m.CustomerView.After(ctx, r))
}

func (m maskedCustomers) Search(by processors.Search, cursor string, limit int) (processors.CustomerPage, error) {
	return maskedPage(m.CustomerView.Search(by, cursor, limit))
}

func (m maskedCustomers) Waiting(waitsFor, cursor string, limit int) (processors.CustomerPage, error) {
	return maskedPage(m.CustomerView.Waiting(waitsFor, cursor, limit))
}

func maskedPage(p processors.CustomerPage, err error) (processors.CustomerPage, error) {
	for i, c := range p.Customers {
		p.Customers[i], _ = masked(c, nil)
	}
	return p, err
}

func masked(s *schemas.CustomerState, err error) (*schemas.CustomerState, error) {
	if err != nil {
		return nil, err
	}
	m := &schemas.CustomerState{CustomerID: s.CustomerID, Version: s.Version, Status: s.Status, Address: maskedResidence(s.Address)}
	m.Name = "Customer " + s.CustomerID
	if s.Pending != nil {
		p := *s.Pending
		p.Undeliverable = "" // a sentence of a mail server
		m.Pending = &p
	}
	return m, nil
}

func maskedResidence(r schemas.Residence) schemas.Residence {
	return schemas.Residence{
		Address: schemas.Address{Country: r.Address.Country}, Version: r.Version, Reason: r.Reason, Verified: r.Verified, OccurredAt: r.OccurredAt,
	}
}

type maskedBilling struct{ View[*schemas.BillingState] }

func (m maskedBilling) Get(key string) (*schemas.BillingState, error) {
	return maskedBills(m.View.Get(key))
}

func (m maskedBilling) After(ctx context.Context, r processors.Receipt) (*schemas.BillingState, error) {
	return maskedBills(m.View.After(ctx, r))
}

func maskedBills(s *schemas.BillingState, err error) (*schemas.BillingState, error) {
	if err != nil {
		return nil, err
	}
	m := *s
	m.Address, m.Open = schemas.Address{Country: s.Address.Country}, nil
	for _, i := range s.Open {
		i.Text, i.Address = "", schemas.Address{Country: i.Address.Country}
		m.Open = append(m.Open, i)
	}
	return &m, nil
}

// maskedNotifications leaves the version: how far the service has come.
type maskedNotifications struct {
	View[*schemas.NotificationState]
}

func (m maskedNotifications) Get(key string) (*schemas.NotificationState, error) {
	s, err := m.View.Get(key)
	if err != nil {
		return nil, err
	}
	return &schemas.NotificationState{CustomerID: s.CustomerID, Version: s.Version, CustomerVersion: s.CustomerVersion}, nil
}

// noTimeline is the timeline of those who may not ask for one over the API either.
type noTimeline struct{}

// Read is empty.
func (noTimeline) Read(context.Context, string, string, int) (timeline.Page, error) {
	return timeline.Page{}, nil
}
