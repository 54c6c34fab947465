// Package audit finds contradictions in the topics of the system. It is the body of the command check, for tests.
//
// It imports nothing of this module. What it knows of the system it knows from the schema files and from the design: topic names,
// framings, the placement rule, what one event does to a state. It deliberately does not know how decisions are made: whether a
// command should have been refused is the cores' tests' business.
package audit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says what to check.
type Config struct {
	Brokers    []string
	Client     []kgo.Opt    // beside the brokers: a dialer, TLS, SASL
	HTTP       *http.Client // asks the registry; nil: http.DefaultClient
	Schemas    string       // directory of the schema files
	Registry   string       // URL; needed if any topic is in Confluent framing
	Canaries   []string     // personal data that must not leak
	Logs       []string     // files to search for the canaries
	WantAborts bool         // a log without aborted transactions is a violation
}

// Violation is one place where the log contradicts itself. Text holds no personal data.
type Violation struct {
	Invariant string `json:"invariant"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // -1 where no single record is to blame
	Key       string `json:"key,omitempty"`
	Text      string `json:"text"`
}

// Report is what a check found: what it looked at, and the violations in the order of the invariants.
type Report struct {
	Counted    map[string]int64 `json:"counted"`
	Violations []Violation      `json:"violations"`
}

// Print writes the report for people, with at most the given number of violations.
func (r *Report) Print(w io.Writer, most int) error {
	names := make([]string, 0, len(r.Counted))
	for name := range r.Counted {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if _, err := fmt.Fprintf(w, "%-28s %d\n", name, r.Counted[name]); err != nil {
			return err
		}
	}
	for _, v := range r.Violations[:min(most, len(r.Violations))] {
		if _, err := fmt.Fprintf(w, "%s: %s/%d@%d %s: %s\n", v.Invariant, v.Topic, v.Partition, v.Offset, v.Key, v.Text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d violations\n", len(r.Violations))
	return err
}

// Run reads the whole log and checks it. An error means that it could not be read; what is wrong with it is in the report.
func Run(ctx context.Context, c Config) (*Report, error) {
	a := &auditor{config: c, report: &Report{Counted: map[string]int64{}, Violations: []Violation{}}}
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	a.check()
	if err := a.checkPrivacy(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(a.report.Violations, func(x, y Violation) int { return order(x.Invariant) - order(y.Invariant) })
	return a.report, nil
}

// check runs every check of the log itself.
func (a *auditor) check() {
	a.checkPlacement()
	a.checkVersions()
	for _, s := range services() {
		if !a.running(s) {
			continue
		}
		a.checkOffsets(s)
		a.checkOutcomes(s)
		a.checkFold(s)
		a.checkPublished(s)
	}
	a.checkAgreement()
	a.checkOnce()
	a.checkStable()
}

// The invariants of the design.
const (
	outcomes   = "I1 one outcome"
	folded     = "I2 fold = row = state"
	versions   = "I3 versions"
	reflected  = "I4 input reflected"
	atomic     = "I5 all or none"
	stable     = "I7 at rest"
	personal   = "I10 no personal data"
	placed     = "placement"
	undecoded  = "encoding"
	agreements = "agreement"
)

func order(invariant string) int {
	return slices.Index([]string{undecoded, placed, outcomes, folded, versions, reflected, atomic, stable, personal, agreements}, invariant)
}

// auditor is one run.
type auditor struct {
	config  Config
	report  *Report
	schemas *schemaFiles
	log     map[string][]*record // by topic: committed records, partition by partition in the order of offsets
	spans   []span
	commits map[string]map[string]map[int32]int64 // group, topic, partition: committed offset
}

// service is one processor group and its topics.
type service struct {
	name     string
	inputs   []string
	commands string // of the inputs, the one that is answered; empty for a service that only listens
	replies  string
	events   string
	table    string
	state    string
	id       string // the field of its records that is the key
}

func services() []service {
	return []service{
		{
			name: "customer", inputs: []string{"customer.commands.v1", "crm.changes.v1", "mail.replies.v1"},
			commands: "customer.commands.v1", replies: "customer.replies.v1", events: "customer.events.v1",
			table: "customer-table", state: "customer.state.v1", id: "customerId",
		},
		{
			name: "billing", inputs: []string{"billing.commands.v1", "customer.state.v1", "customer.changes.v1"},
			commands: "billing.commands.v1", replies: "billing.replies.v1", events: "billing.events.v1",
			table: "billing-table", state: "billing.state.v1", id: "customerId",
		},
		{
			name: "mail", inputs: []string{"mail.commands.v1"},
			commands: "mail.commands.v1", replies: "mail.replies.v1", events: "mail.events.v1",
			table: "mail-table", state: "mail.state.v1", id: "mailId",
		},
		{
			name: "webhook", inputs: []string{"webhook.commands.v1"},
			commands: "webhook.commands.v1", replies: "webhook.replies.v1", events: "webhook.events.v1",
			table: "webhook-table", state: "webhook.state.v1", id: "webhookId",
		},
		{
			name: "notification", inputs: []string{"customer.state.v1", "customer.changes.v1", "mail.replies.v1"},
			events: "notification.events.v1", table: "notification-table", state: "notification.state.v1", id: "customerId",
		},
	}
}

// running tells whether a service has ever handled anything: one that is not deployed violates nothing.
func (a *auditor) running(s service) bool { return len(a.commits[s.name]) > 0 }

func (a *auditor) count(what string, n int) { a.report.Counted[what] += int64(n) }

// blame adds a violation by one record.
func (a *auditor) blame(invariant string, r *record, format string, args ...any) {
	a.report.Violations = append(a.report.Violations, Violation{
		Invariant: invariant, Topic: r.topic, Partition: r.partition, Offset: r.offset, Key: r.key, Text: fmt.Sprintf(format, args...),
	})
}

// blameKey adds a violation that no single record is to blame for.
func (a *auditor) blameKey(invariant, topic, key, format string, args ...any) {
	a.report.Violations = append(a.report.Violations, Violation{
		Invariant: invariant, Topic: topic, Partition: -1, Offset: -1, Key: key, Text: fmt.Sprintf(format, args...),
	})
}
