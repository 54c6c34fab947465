package audit

import (
	"fmt"
	"reflect"
	"slices"
)

// fields is a record or a part of one, normalised.
type fields = map[string]any

// checkFold folds the events of every key and compares the result with the last row and the last public state.
func (a *auditor) checkFold(s service) {
	rows, states := a.last(s.table), a.last(s.state)
	folds, updated := map[string]fields{}, map[string]any{}
	for _, e := range a.log[s.events] {
		if e.body == nil {
			continue
		}
		state := folds[e.key]
		if state == nil {
			state = empty(s, e.key)
		}
		folds[e.key], updated[e.key] = a.fold(s, state, e), e.body["at"]
	}
	for key, state := range folds {
		a.count("folded keys", 1)
		if state == nil { // forgotten
			a.absent(s.table, key, rows[key])
			a.absent(s.state, key, states[key])
			continue
		}
		a.compare(s.table, key, withoutHandled(rows[key]), state)
		if public := public(s, state, updated[key]); public != nil {
			a.compare(s.state, key, states[key], public)
		} else {
			a.absent(s.state, key, states[key])
		}
	}
	for key, row := range rows {
		if _, known := folds[key]; !known && integer(row["version"]) != 0 {
			a.blameKey(folded, s.table, key, "a row of version %d and no event", integer(row["version"]))
		}
	}
	for key := range states {
		if _, known := folds[key]; !known {
			a.blameKey(folded, s.state, key, "a state and no event")
		}
	}
}

// last returns the last record of every key that has one.
func (a *auditor) last(topic string) map[string]fields {
	all := map[string]fields{}
	for _, r := range a.log[topic] {
		if r.raw == nil {
			delete(all, r.key)
			continue
		}
		all[r.key] = r.body
	}
	return all
}

func withoutHandled(row fields) fields {
	if row == nil {
		return nil
	}
	out := fields{}
	for name, v := range row {
		if name != "handled" {
			out[name] = v
		}
	}
	return out
}

// compare names the fields that differ, never what they hold.
func (a *auditor) compare(topic, key string, got, want fields) {
	if got == nil {
		a.blameKey(folded, topic, key, "there are events and no record")
		return
	}
	a.count("compared", 1)
	var differ []string
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			differ = append(differ, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			differ = append(differ, name+" (unknown to the checker)")
		}
	}
	if len(differ) > 0 {
		slices.Sort(differ)
		a.blameKey(folded, topic, key, "version %v: differs from the folded events in %v", got["version"], differ)
	}
}

func (a *auditor) absent(topic, key string, got fields) {
	a.count("compared", 1)
	if got != nil {
		a.blameKey(folded, topic, key, "a record where the events end with none")
	}
}

// fold applies one event to a state and returns it; nil means that nothing is left. States are the rows' fields without
// the handled ids; fold may write to state.
func (a *auditor) fold(s service, state fields, e *record) fields {
	state["version"] = integer(state["version"]) + 1
	data := e.personal
	switch s.name {
	case "customer":
		return foldCustomer(state, e, data)
	case "billing":
		return foldBilling(state, e, data)
	case "mail":
		return foldMail(state, e)
	case "webhook":
		return foldWebhook(state, e)
	default:
		return foldNotification(state, e, data)
	}
}

// public is what the state topic must hold for a folded state; nil: no record.
func public(s service, state fields, at any) fields {
	switch s.name {
	case "customer":
		return publicCustomer(state, at)
	case "billing":
		return publicBilling(state)
	case "mail":
		return pick(state, "mailId", "version", "status", "sender", "acceptedAt", "reportedAt", "attempts", "detail")
	case "webhook":
		return publicWebhook(state)
	default:
		return pick(state, "customerId", "version", "customerVersion", "status", "addressVersion", "notices", "asked", "delivered", "failed")
	}
}

func pick(from fields, names ...string) fields {
	out := fields{}
	for _, name := range names {
		out[name] = from[name]
	}
	return out
}

// empty is the state before the first event.
func empty(s service, key string) fields {
	state := fields{s.id: key, "version": int64(0), "status": ""}
	switch s.name {
	case "customer":
		set(state, "", "name", "email", "language")
		state["address"], state["change"] = noResidence(), noChange()
	case "billing":
		set(state, int64(0), "customerVersion")
		state["residence"] = fields{"address": noAddress(), "version": int64(0), "reason": ""}
		state["open"], state["paid"] = []any{}, []any{}
	case "mail":
		set(state, "", "sender", "replyTo", "correlationId", "detail")
		set(state, int64(0), "acceptedAt", "reportedAt", "attempts")
	case "notification":
		set(state, "", "name", "email", "language")
		set(state, int64(0), "customerVersion", "addressVersion", "asked", "delivered", "failed")
		state["notices"] = []any{}
	case "webhook":
		emptyWebhook(state)
	default:
		panic(fmt.Sprintf("no fold for %s", s.name))
	}
	return state
}

// set gives several fields one value.
func set(state fields, v any, names ...string) {
	for _, name := range names {
		state[name] = v
	}
}

func noAddress() fields {
	out := fields{}
	set(out, "", "country", "region", "city", "district", "postCode", "sortingCode", "street")
	return out
}
