// Package acl says which rights on a Kafka cluster each binary and each kind of outsider needs, and no more. They follow
// from the catalogue of topics: who writes and reads what. A file beside each binary (rights.acl) says the same for people,
// and is what an operator applies.
//
// It grants; it never takes a right away.
package acl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/topics"
)

// Right is one thing that a principal may do. READ and WRITE imply DESCRIBE, as Kafka has it.
type Right struct {
	Operation kmsg.ACLOperation
	Resource  kmsg.ACLResourceType
	Name      string
	Prefix    bool   // Name is the beginning of the names that are meant
	Why       string // for people
}

// String is the right as the files spell it, without the reason.
func (r Right) String() string {
	name := r.Name
	if r.Prefix {
		name += "*"
	}
	return fmt.Sprintf("%-16s %-16s %s", spell(r.Operation), spell(r.Resource), name)
}

// spell is a name of the protocol as the files spell it.
func spell(s fmt.Stringer) string { return strings.ReplaceAll(strings.ToLower(s.String()), "_", "-") }

// Names returns everybody that rights can be told for: the binaries first, then kinds of outsiders.
func Names() []string {
	return append(topics.Services(), topics.Gateway, topics.CRM, topics.Producers, topics.Consumers, topics.Operators)
}

// Of returns what the named binary or outsider needs; nil for a name that is none of Names.
func Of(name string) []Right {
	var all []Right
	for _, t := range topics.All() {
		all = append(all, ofTopic(name, t)...)
	}
	if slices.Contains(topics.Services(), name) {
		all = append(all, ofService(name)...)
	}
	if retries(name) {
		all = append(all, Right{
			Operation: kmsg.ACLOperationWrite, Resource: kmsg.ACLResourceTypeTransactionalId, Name: topics.Operator + "-", Prefix: true,
			Why: "the transactions in which a dead letter is sent again and noted",
		})
	}
	if name == topics.Gateway {
		for _, group := range topics.Groups() {
			all = append(all, Right{Operation: kmsg.ACLOperationDescribe, Resource: kmsg.ACLResourceTypeGroup, Name: group, Why: "to show how far behind it is"})
		}
	}
	return all
}

// retries tells who sends dead letters again: people with the command line, and over the API.
func retries(name string) bool { return name == topics.Operators || name == topics.Gateway }

func ofTopic(name string, t topics.Topic) []Right {
	var all []Right
	add := func(operation kmsg.ACLOperation, why string) {
		all = append(all, Right{Operation: operation, Resource: kmsg.ACLResourceTypeTopic, Name: t.Name, Why: why})
	}
	reads, writes := slices.Contains(t.Readers, name), slices.Contains(t.Writers, name)
	if t.Kind == topics.Event && name != topics.Customer {
		reads = false // only "customer rebuild" folds them again
	}
	again := retries(name) && t.Input()
	switch {
	case reads:
		add(kmsg.ACLOperationRead, readsBecause(name, t))
	case again && t.Cleanup == topics.Compact:
		add(kmsg.ACLOperationRead, "to see that no later record has replaced a dead letter")
	}
	switch {
	case writes:
		add(kmsg.ACLOperationWrite, writesBecause(name, t))
	case again:
		add(kmsg.ACLOperationWrite, "to send its dead letters again")
	}
	if name == topics.Gateway && !reads && !writes && !again {
		add(kmsg.ACLOperationDescribe, "to show how much is in it; not what")
	}
	if (reads || writes) && slices.Contains(topics.Services(), name) {
		add(kmsg.ACLOperationDescribeConfigs, "it refuses to start on settings that would lose records")
	}
	return all
}

func readsBecause(name string, t topics.Topic) string {
	switch {
	case t.Kind == topics.Table:
		return "its rows, to recover them"
	case t.Kind == topics.DeadLetters:
		return "to look at what no code could handle"
	case t.Kind == topics.Outbox:
		return "the work that it has put there"
	case t.Kind == topics.Positions:
		return "how far its sender is"
	case t.Owner == name && t.Kind == topics.State:
		return "what its sender does"
	case t.Kind == topics.Action:
		return "what operators did, and whether a dead letter is decided"
	case t.Owner == name && t.Input():
		return "its input"
	case t.Kind == topics.Event:
		return "its own past, for \"customer rebuild\""
	default:
		return "what " + t.Owner + " tells"
	}
}

func writesBecause(name string, t topics.Topic) string {
	switch {
	case t.Kind == topics.Table:
		return "its rows"
	case t.Kind == topics.DeadLetters:
		return "what no code can handle"
	case t.Kind == topics.Positions:
		return "how far its sender is"
	case t.Kind == topics.Action:
		return "to note what operators do"
	case t.Kind == topics.Command && t.Owner == name:
		return "records that it sends on to their right partition, and its own deadlines"
	case t.Kind == topics.Command:
		return "to ask " + t.Owner
	case t.Owner == name:
		return "what it publishes"
	default:
		return "to tell " + t.Owner
	}
}

// ofService is what a processor needs beside topics.
func ofService(name string) []Right {
	all := []Right{
		{Operation: kmsg.ACLOperationRead, Resource: kmsg.ACLResourceTypeGroup, Name: name, Why: "its group and its offsets"},
		{
			Operation: kmsg.ACLOperationWrite, Resource: kmsg.ACLResourceTypeTransactionalId, Name: name + "-", Prefix: true,
			Why: "the transactions of each of its instances, and of nobody else's",
		},
	}
	if name == topics.Webhook {
		all = append(all, Right{Operation: kmsg.ACLOperationRead, Resource: kmsg.ACLResourceTypeGroup, Name: topics.WebhookSender, Why: "the group that tells changes"})
	}
	if name == topics.Mail {
		all = append(all, Right{Operation: kmsg.ACLOperationRead, Resource: kmsg.ACLResourceTypeGroup, Name: topics.Mailer, Why: "the group that hands mails over"})
	}
	return all
}
