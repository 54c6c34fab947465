package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// place is where an input record was.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// command is one record of a commands topic with everything that answers it.
type command struct {
	*record
	id, payload string // payload: the body without its metadata, in a form that compares
	replies     []*record
}

// checkOutcomes checks that every record of the commands topic has exactly one outcome: a reply, a dead letter, or the
// same record sent on to the right partition, or sent again from the dead letters (that record then has the outcome). And
// over all sendings of one command, that it was decided once.
func (a *auditor) checkOutcomes(s service) {
	dead, again := a.deadLetters(s)
	moved := a.movedFrom(s)
	answers := map[place][]*record{}
	for _, r := range a.log[s.replies] {
		if !strings.HasSuffix(r.name, "Reply") {
			continue // the mail service also tells what became of a mail
		}
		p := place{s.commands, int32(integer(r.body["partition"])), integer(r.body["offset"])} //nolint:gosec // a partition
		answers[p] = append(answers[p], r)
	}
	byID := map[string][]*command{}
	for _, r := range a.log[s.commands] {
		p := place{r.topic, r.partition, r.offset}
		c := &command{record: r, replies: answers[p]}
		delete(answers, p)
		if n := len(c.replies) + dead[p] + moved[p] + again[p]; n != 1 {
			a.blame(outcomes, r, "%d replies, %d dead letters, %d dead letters sent again, sent on %d times", len(c.replies), dead[p], again[p], moved[p])
		}
		a.count("commands", 1)
		a.count("replies", len(c.replies))
		a.count("dead letters", dead[p])
		a.count("moved", moved[p])
		if r.body == nil || len(c.replies) != 1 {
			continue
		}
		meta, _ := r.body["metadata"].(map[string]any)
		c.id, c.payload = text(meta["commandId"]), payload(r.body)
		if got := c.replies[0]; text(got.body["commandId"]) != c.id || text(got.body["key"]) != r.key {
			a.blame(outcomes, got, "the reply names another command or key than the record it answers")
		}
		byID[r.key+"\x00"+c.id] = append(byID[r.key+"\x00"+c.id], c)
	}
	for p, replies := range answers {
		a.blame(outcomes, replies[0], "a reply to %s/%d@%d, where no command is", p.topic, p.partition, p.offset)
	}
	for _, sendings := range byID {
		a.checkDecidedOnce(sendings)
	}
	a.checkCauses(s, byID)
}

// window is how many commands of its key a command is remembered for: a repetition from further back may be decided anew.
const window = 32

// decidedBetween counts what a row may have remembered between two replies to commands of its key: the commands that were answered for the first
// time, and, of a customer, the facts about it and the fates of its mails, all of them, because no order exists between the topics. A row that was
// removed in between remembers nothing.
func (a *auditor) decidedBetween(before, after *record) (n int) {
	if before.partition != after.partition {
		return 0
	}
	key := text(before.body["key"])
	if before.topic == "customer.replies.v1" {
		for _, r := range a.log["crm.changes.v1"] {
			if r.key == key {
				n++
			}
		}
		for _, r := range a.log["mail.replies.v1"] {
			if r.key == key && isFate(r) {
				n++
			}
		}
	}
	for _, r := range a.log[before.topic] {
		if r.partition != before.partition || r.offset <= before.offset || r.offset >= after.offset || text(r.body["key"]) != key {
			continue
		}
		if repeat, _ := r.body["repeat"].(bool); repeat || text(r.body["refusal"]) == notDue || !strings.HasSuffix(r.name, "Reply") {
			continue
		}
		if text(r.body["outcome"]) == "accepted" && strings.HasPrefix(text(r.body["commandId"]), "due/"+key+"/Forget") {
			return window
		}
		n++
	}
	return n
}

// isFate says whether a reply of the mail service tells a customer that its mail will not arrive.
func isFate(r *record) bool {
	refused := text(r.body["outcome"]) == "refused" && text(r.body["commandId"]) == text(r.body["key"])
	return text(r.body["sender"]) == "customer" && (refused || strings.HasSuffix(r.name, "MailUndeliverable"))
}

// payload is the command without its metadata: two sendings of one command have the same.
func payload(body map[string]any) string {
	rest := map[string]any{}
	for name, v := range body {
		if name != "metadata" {
			rest[name] = v
		}
	}
	b, err := json.Marshal(rest)
	if err != nil {
		return ""
	}
	return string(b)
}

// notDue is the refusal of a deadline whose time has not come; a row does not remember it.
const notDue = "not_due"

// Refusals that leave the command undecided: another body came first; the time is not yet; the row lives on.
func undecided(r *record) bool {
	code := text(r.body["refusal"])
	return code == "id_reused" || code == notDue
}

// checkDecidedOnce checks all sendings of one command id to one key: the first body is decided once and every repetition
// gets that answer, and another body is refused because the id is used, unless the window has passed.
func (a *auditor) checkDecidedOnce(sendings []*command) {
	decided, bodies := map[string][]*record{}, map[string]bool{}
	answered := slices.Clone(sendings)
	slices.SortFunc(answered, func(x, y *command) int {
		a, b := x.replies[0], y.replies[0]
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	})
	for _, c := range answered {
		bodies[c.payload] = true
		reply := c.replies[0]
		if repeat, _ := reply.body["repeat"].(bool); repeat || undecided(reply) {
			continue
		}
		for body, before := range decided {
			what, last := "the command", before[len(before)-1]
			if body != c.payload {
				what = "another command with this id"
			}
			if between := a.decidedBetween(last, reply); between < window {
				a.blame(outcomes, reply, "%s was decided before, at %s/%d@%d, only %d commands of its key ago",
					what, last.topic, last.partition, last.offset, between)
			}
			a.count("decided again outside the window", 1)
		}
		decided[c.payload] = append(decided[c.payload], reply)
	}
	a.count("duplicates", len(sendings)-len(bodies))
	for _, c := range sendings {
		if repeat, _ := c.replies[0].body["repeat"].(bool); repeat {
			a.checkRepetition(c.replies[0], decided[c.payload], len(decided) > 0)
		}
	}
}

// checkRepetition checks that a repetition tells the answer that had been given last. Whether another body was decided matters to one without.
func (a *auditor) checkRepetition(reply *record, decided []*record, another bool) {
	if len(decided) == 0 {
		if another && text(reply.body["refusal"]) != "id_reused" {
			a.blame(outcomes, reply, "a repetition of an answer that was never given")
		}
		return
	}
	answer := decided[0]
	for _, later := range decided[1:] {
		if later.partition != reply.partition || later.offset < reply.offset {
			answer = later
		}
	}
	for _, field := range []string{"outcome", "refusal", "message", "version", "aggregate", "key"} {
		if !reflect.DeepEqual(reply.body[field], answer.body[field]) {
			a.blame(outcomes, reply, "the repetition differs from the first answer in %s", field)
		}
	}
}

// checkCauses checks that what a command caused agrees with its answer: an accepted one has its events up to the version
// it was told, a refused one has none. Reply and event come from one transaction, so this is also all or none.
func (a *auditor) checkCauses(s service, byID map[string][]*command) {
	caused := map[string][]*record{}
	for _, e := range a.log[s.events] {
		if id := text(e.body["commandId"]); id != "" {
			caused[e.key+"\x00"+id] = append(caused[e.key+"\x00"+id], e)
		}
	}
	for id, sendings := range byID {
		events := caused[id]
		answer := decision(sendings)
		switch {
		case answer == nil:
			if len(events) > 0 {
				a.blame(atomic, events[0], "an event of a command that has no first answer")
			}
		case text(answer.body["outcome"]) == "refused":
			a.count("refused", 1)
			if len(events) > 0 {
				a.blame(atomic, events[0], "an event of a refused command")
			}
		default:
			a.count("accepted", 1)
			if len(events) == 0 {
				if !strings.HasPrefix(bare(sendings[0].name), "Forget") { // it removes a row, and no event tells it
					a.blame(atomic, answer, "accepted without an event")
				}
				break
			}
			if told, got := integer(answer.body["version"]), integer(events[len(events)-1].body["version"]); told != got {
				a.blame(atomic, answer, "told version %d, but the last event is %d", told, got)
			}
		}
	}
}

// decision returns the answer that decided a command, nil if there is none. Of a command that was decided again, outside the window, it is the last that
// accepted it, if one did.
func decision(sendings []*command) (answer *record) {
	for _, c := range sendings {
		reply := c.replies[0]
		if repeat, _ := reply.body["repeat"].(bool); repeat || undecided(reply) {
			continue
		}
		if answer == nil || text(reply.body["outcome"]) == "accepted" {
			answer = reply
		}
	}
	return answer
}

// deadLetters counts the dead letters of the commands topic by the record they were, those that were sent again apart.
func (a *auditor) deadLetters(s service) (dead, again map[place]int) {
	retried := map[string]bool{}
	for _, r := range a.log[s.commands] {
		if from := r.headers["utopia-retry-of"]; from != "" {
			retried[from] = true
		}
	}
	dead, again = map[place]int{}, map[place]int{}
	for _, r := range a.log[s.commands+".dlq"] {
		partition, errP := strconv.ParseInt(r.headers["utopia-partition"], 10, 32)
		offset, errO := strconv.ParseInt(r.headers["utopia-offset"], 10, 64)
		if errP != nil || errO != nil || r.headers["utopia-reason"] == "" || r.headers["utopia-topic"] != s.commands {
			a.blame(outcomes, r, "the dead letter does not say where it is from and why")
			continue
		}
		p := place{s.commands, int32(partition), offset}
		if retried[fmt.Sprintf("%s/%d/%d", r.topic, r.partition, r.offset)] {
			again[p]++
		} else {
			dead[p]++
		}
		a.checkAsReceived(r, p)
	}
	return dead, again
}

// checkAsReceived compares a dead letter with the record it was.
func (a *auditor) checkAsReceived(r *record, p place) {
	for _, original := range a.log[p.topic] {
		if original.partition == p.partition && original.offset == p.offset {
			if original.key != r.key || string(original.raw) != string(r.raw) || (original.raw == nil) != (r.raw == nil) {
				a.blame(outcomes, r, "the dead letter is not what was received")
			}
			return
		}
	}
	a.blame(outcomes, r, "a dead letter of %s/%d@%d, where no record is", p.topic, p.partition, p.offset)
}

// movedFrom counts the records that were sent on to the right partition, by where they were.
func (a *auditor) movedFrom(s service) map[place]int {
	moved := map[place]int{}
	for _, r := range a.log[s.commands] {
		from := strings.Split(r.headers["utopia-moved-from"], "/")
		if len(from) != 3 {
			continue
		}
		partition, errP := strconv.ParseInt(from[1], 10, 32)
		offset, errO := strconv.ParseInt(from[2], 10, 64)
		if errP != nil || errO != nil {
			a.blame(outcomes, r, "the moved record does not say where it is from")
			continue
		}
		moved[place{from[0], int32(partition), offset}]++
	}
	return moved
}

// checkOffsets checks that the group has committed all its input.
func (a *auditor) checkOffsets(s service) {
	for _, span := range a.spans {
		for _, input := range s.inputs {
			if span.topic != input || span.last == 0 {
				continue
			}
			at, ok := a.commits[s.name][input][span.partition]
			a.count("input partitions", 1)
			if !ok || at < span.last {
				a.report.Violations = append(a.report.Violations, Violation{
					Invariant: reflected, Topic: input, Partition: span.partition, Offset: at,
					Text: fmt.Sprintf("group %s has committed %d of %d", s.name, at, span.last),
				})
			}
		}
	}
}
