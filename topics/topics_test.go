package topics_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utopia/topics"
)

func TestTheCatalogueKeepsTheHouseRules(t *testing.T) {
	if err := topics.Check(topics.All()); err != nil {
		t.Fatal(err)
	}
}

func TestCheckRefuses(t *testing.T) {
	command := func(owner, record string) topics.Topic {
		return topics.Topic{
			Name: owner + ".commands.v1", Kind: topics.Command, Owner: owner, Readers: []string{owner},
			Records: []string{record},
		}
	}
	for name, c := range map[string]struct {
		catalogue []topics.Topic
		want      error
	}{
		"a command whose verb is not in the list": {
			[]topics.Topic{command("customer", "utopia.customer.ManageCustomer")}, topics.ErrVerb,
		},
		"an event that is named like a command": {
			[]topics.Topic{{
				Name: "customer.changes.v1", Kind: topics.Change, Owner: "customer",
				Records: []string{"utopia.customer.MoveCustomer"},
			}}, topics.ErrVerb,
		},
		"a private event whose verb is not in the list": {
			[]topics.Topic{{
				Name: "customer.events.v1", Kind: topics.Event, Audience: topics.Private, Owner: "customer",
				Records: []string{"utopia.customer.private.CustomerProcessed"},
			}}, topics.ErrVerb,
		},
		"a command of another service": {
			[]topics.Topic{command("mail", "utopia.customer.RegisterCustomer")}, topics.ErrNotOwned,
		},
		"a command whose recipient does not read it": {
			[]topics.Topic{{
				Name: "customer.commands.v1", Kind: topics.Command, Owner: "customer", Readers: []string{"billing"},
				Records: []string{"utopia.customer.RegisterCustomer"},
			}}, topics.ErrNotOwned,
		},
		"a private topic that another service reads": {
			[]topics.Topic{{
				Name: "customer.events.v1", Kind: topics.Event, Audience: topics.Private, Owner: "customer",
				Readers: []string{"customer", "billing"},
			}}, topics.ErrPrivateReader,
		},
		"a name without a version": {
			[]topics.Topic{{Name: "customer.state", Kind: topics.State, Owner: "customer"}}, topics.ErrName,
		},
		"a name that lies about the kind": {
			[]topics.Topic{{Name: "customer.state.v1", Kind: topics.Change, Owner: "customer"}}, topics.ErrName,
		},
		"a table with another group's name": {
			[]topics.Topic{{Name: "customer-table", Kind: topics.Table, Owner: "billing"}}, topics.ErrName,
		},
		"a record type in two topics": {
			[]topics.Topic{
				command("customer", "utopia.customer.RegisterCustomer"),
				{
					Name: "customer.commands.v2", Kind: topics.Command, Owner: "customer", Readers: []string{"customer"},
					Records: []string{"utopia.customer.RegisterCustomer"},
				},
			}, topics.ErrDuplicate,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := topics.Check(c.catalogue); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestEveryInputTopicHasItsDeadLetters(t *testing.T) {
	n := 0
	for _, top := range topics.All() {
		if !top.Input() {
			continue
		}
		n++
		dlq, ok := topics.ByName(top.Name + ".dlq")
		if !ok {
			t.Errorf("%s has no dead letters", top.Name)
			continue
		}
		if diff := cmp.Diff(top.DLQ(), dlq); diff != "" {
			t.Errorf("%s: %s", dlq.Name, diff)
		}
		if dlq.MaxBytes <= top.MaxBytes {
			t.Errorf("%s: a dead letter is larger than its record", dlq.Name)
		}
		if len(dlq.Writers) == 0 {
			t.Errorf("%s: nobody may write it", dlq.Name)
		}
	}
	if n != 8 {
		t.Errorf("%d input topics, want 8", n)
	}
}

func TestByName(t *testing.T) {
	for _, want := range topics.All() {
		got, ok := topics.ByName(want.Name)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %v %s", want.Name, ok, diff)
		}
	}
	if top, ok := topics.ByName("customer.state.v1.dlq.dlq"); ok {
		t.Errorf("got %+v", top)
	}
	topics.All()[0].Name = "changed"
	if topics.All()[0].Name == "changed" {
		t.Error("a caller can change the catalogue")
	}
}

func TestInputsOfTheGroups(t *testing.T) {
	got := map[string][]string{}
	for _, g := range topics.Groups() {
		for _, in := range topics.Inputs(g) {
			got[g] = append(got[g], in.Name)
		}
	}
	want := map[string][]string{
		"customer":       {"customer.commands.v1", "crm.changes.v1", "mail.replies.v1"},
		"billing":        {"customer.changes.v1", "customer.state.v1", "billing.commands.v1"},
		"mail":           {"mail.commands.v1"},
		"mail-mailer":    {"mail.outbox.v1"},
		"notification":   {"customer.changes.v1", "customer.state.v1", "mail.replies.v1"},
		"webhook":        {"webhook.commands.v1"},
		"webhook-sender": {"customer.changes.v1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestEveryTopicIsComplete(t *testing.T) {
	for _, top := range topics.All() {
		if top.Owner == "" || len(top.Writers) == 0 || len(top.Readers) == 0 || top.Key == "" || top.Doc == "" ||
			len(top.Records) == 0 || top.MaxBytes == 0 || top.Audience == "" {
			t.Errorf("%s: incomplete: %+v", top.Name, top)
		}
		if (top.Cleanup == topics.Delete) != (top.Retention > 0) {
			t.Errorf("%s: retention %s with cleanup %s", top.Name, top.Retention, top.Cleanup)
		}
		if top.Kind.Pattern() == "unknown" {
			t.Errorf("%s: no pattern for kind %s", top.Name, top.Kind)
		}
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		topic topics.Topic
		want  map[string]string
	}{
		"an input log is deleted after a week, by the broker's clock": {topics.CustomerCommands, map[string]string{
			"cleanup.policy": "delete", "retention.ms": fmt.Sprint((7 * 24 * time.Hour).Milliseconds()), "retention.bytes": "-1",
			"message.timestamp.type": "LogAppendTime", "max.message.bytes": "2097152",
		}},
		"an event store is kept for ever": {topics.CustomerEvents, map[string]string{
			"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
			"message.timestamp.type": "CreateTime", "max.message.bytes": "2097152",
		}},
		"a state keeps the last record of each key": {topics.CustomerState, map[string]string{
			"cleanup.policy": "compact", "delete.retention.ms": fmt.Sprint((7 * 24 * time.Hour).Milliseconds()),
			"message.timestamp.type": "LogAppendTime", "max.message.bytes": "2097152",
		}},
		"a dead letter is larger than its record": {topics.CRMChanges.DLQ(), map[string]string{
			"cleanup.policy": "delete", "retention.ms": fmt.Sprint((30 * 24 * time.Hour).Milliseconds()), "retention.bytes": "-1",
			"message.timestamp.type": "CreateTime", "max.message.bytes": "2097152",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.topic.Config()); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestWhoDependsOnWhom(t *testing.T) {
	got := map[string]bool{}
	for _, d := range topics.Graph() {
		got[d.Who+" "+d.Why+" "+d.On] = true
		if d.Who == d.On {
			t.Errorf("%s depends on itself by %s", d.Who, d.Topic)
		}
	}
	want := map[string]bool{
		"producers commands customer":         true,
		"producers reads replies of customer": true,
		"consumers listens to customer":       true,
		"billing listens to customer":         true,
		"notification listens to customer":    true,
		"customer listens to crm":             true,
		"producers commands billing":          true,
		"producers reads replies of billing":  true,
		"consumers listens to billing":        true,
		"customer commands mail":              true,
		"notification commands mail":          true,
		"customer reads replies of mail":      true,
		"notification reads replies of mail":  true,
		"consumers listens to mail":           true,
		"consumers listens to notification":   true,
		"gateway commands customer":           true,
		"gateway reads replies of customer":   true,
		"gateway listens to customer":         true,
		"gateway commands billing":            true,
		"gateway reads replies of billing":    true,
		"gateway listens to billing":          true,
		"gateway listens to mail":             true,
		"gateway listens to notification":     true,
		"gateway commands webhook":            true,
		"gateway reads replies of webhook":    true,
		"gateway listens to webhook":          true,
		"operators commands webhook":          true,
		"operators reads replies of webhook":  true,
		"operators listens to webhook":        true,
		"webhook listens to customer":         true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}
