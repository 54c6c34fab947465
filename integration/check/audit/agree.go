package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// changes are the events that the customer service also tells the world, by the same name.
func changes() []string {
	return []string{"CustomerRegistered", "CustomerMoved", "AddressCorrected", "EmailChanged", "CustomerClosed", "CustomerErased"}
}

// checkPublished checks that every event that is published was published once, in the same transaction or not at all.
func (a *auditor) checkPublished(s service) {
	if s.name != "customer" {
		return
	}
	name := func(r *record) string {
		return fmt.Sprintf("%s/%d %s", r.key, integer(r.body["version"]), bare(r.name))
	}
	told := map[string]int{}
	for _, r := range a.log["customer.changes.v1"] {
		told[name(r)]++
	}
	for _, e := range a.log[s.events] {
		if !slices.Contains(changes(), bare(e.name)) {
			continue
		}
		a.count("published changes", 1)
		if n := told[name(e)]; n != 1 {
			a.blame(atomic, e, "published %d times on customer.changes.v1", n)
		}
		delete(told, name(e))
	}
	for change := range told {
		a.blameKey(atomic, "customer.changes.v1", change, "a change that no event tells")
	}
}

// checkAgreement checks that the services that listen have applied the last version of every customer.
func (a *auditor) checkAgreement() {
	last := map[string]*record{}
	for _, e := range a.log["customer.events.v1"] {
		last[e.key] = e
	}
	customers := a.last("customer.state.v1")
	for _, s := range services() {
		if s.name != "billing" && s.name != "notification" || !a.running(s) {
			continue
		}
		states := a.last(s.state)
		for key, e := range last {
			a.count("agreements", 1)
			state, customer := states[key], customers[key]
			switch {
			case customer == nil: // erased; who never knew the customer has nothing to forget
				if state != nil && state["status"] != "forgotten" {
					a.blameKey(agreements, s.state, key, "the customer is erased, but here %v", state["status"])
				}
			case state == nil:
				a.blameKey(agreements, s.state, key, "the customer is at version %v, but unknown here", e.body["version"])
			default:
				address, _ := customer["address"].(fields)
				if state["customerVersion"] != e.body["version"] || state["addressVersion"] != address["version"] {
					a.blameKey(agreements, s.state, key, "the customer is at version %v with the address of %v, here at %v with that of %v",
						e.body["version"], address["version"], state["customerVersion"], state["addressVersion"])
				}
			}
		}
	}
}

// checkOnce checks that no event asked for the same mail twice, that what asked for it exists, and that the outbox holds
// every accepted mail once.
func (a *auditor) checkOnce() {
	events := map[string]bool{}
	for _, s := range services() {
		for _, e := range a.log[s.events] {
			events[fmt.Sprintf("%s %s %d", s.name, e.key, integer(e.body["version"]))] = true
		}
	}
	asked := map[string]int{}
	for _, r := range a.log["mail.commands.v1"] {
		meta, _ := r.body["metadata"].(fields)
		if bare(r.name) != "SendMail" || r.headers["utopia-moved-from"] != "" {
			continue
		}
		id := text(meta["commandId"])
		group, key, version, ok := derived(id)
		if !ok {
			continue // sent by somebody else, who may repeat it
		}
		a.count("mails asked for", 1)
		if asked[id]++; asked[id] > 1 {
			a.blame(atomic, r, "the mail was asked for %d times", asked[id])
		}
		if !events[fmt.Sprintf("%s %s %d", group, key, version)] {
			a.blame(atomic, r, "no event %d of %s asked for this mail", version, group)
		}
	}
	accepted := map[string]bool{}
	for _, e := range a.log["mail.events.v1"] {
		if bare(e.name) == "MailAccepted" {
			accepted[e.key] = true
		}
	}
	sent := map[string]int{}
	for _, r := range a.log["mail.outbox.v1"] {
		if sent[r.key]++; sent[r.key] > 1 {
			a.blame(atomic, r, "%d times in the outbox", sent[r.key])
		}
	}
	for key := range accepted {
		if sent[key] == 0 {
			a.blameKey(atomic, "mail.outbox.v1", key, "accepted and not in the outbox")
		}
	}
}

// checkStable checks that no transaction is open and, if asked to, that some were aborted.
func (a *auditor) checkStable() {
	for _, s := range a.spans {
		if s.stable != s.high {
			a.report.Violations = append(a.report.Violations, Violation{
				Invariant: stable, Topic: s.topic, Partition: s.partition, Offset: s.stable,
				Text: fmt.Sprintf("an open transaction: the last stable offset is %d, the high-water mark %d", s.stable, s.high),
			})
		}
	}
	if a.config.WantAborts && a.report.Counted["aborted records"] == 0 {
		a.blameKey(atomic, "", "", "no aborted record in any topic: the run tested nothing")
	}
}

// impersonal are the topics in which no person may appear at all.
func impersonal() []string {
	return []string{
		"mail.events.v1", "mail.state.v1", "mail-table", "mail.replies.v1",
		"customer.replies.v1", "billing.replies.v1", "notification.state.v1",
	}
}

// checkPrivacy looks for the canaries where no personal data may be: headers, logs, impersonal topics, and events outside
// their personal part.
func (a *auditor) checkPrivacy() error {
	if len(a.config.Canaries) == 0 {
		return nil
	}
	for topic, records := range a.log {
		for _, r := range records {
			for name, value := range r.headers {
				a.search(r, "header "+name, []byte(value))
			}
			if slices.Contains(impersonal(), topic) {
				a.search(r, "value", r.raw)
			}
			if strings.HasSuffix(topic, ".events.v1") {
				rest := fields{}
				for name, v := range r.body {
					if name != "personal" {
						rest[name] = v
					}
				}
				b, err := json.Marshal(rest)
				if err != nil {
					return fmt.Errorf("search %s: %w", topic, err)
				}
				a.search(r, "fields outside the personal part", b)
			}
		}
	}
	for _, path := range a.config.Logs {
		b, err := os.ReadFile(path) //nolint:gosec // the caller names the files
		if err != nil {
			return fmt.Errorf("search a log: %w", err)
		}
		a.count("log bytes searched", len(b))
		a.search(&record{topic: path, partition: -1, offset: -1}, "log", b)
	}
	return nil
}

func (a *auditor) search(r *record, where string, b []byte) {
	for i, canary := range a.config.Canaries {
		if canary != "" && bytes.Contains(b, []byte(canary)) {
			a.blame(personal, r, "canary %d in %s", i+1, where)
		}
	}
}
