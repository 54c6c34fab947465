package audit

import (
	"cmp"
	"slices"
)

// day is what a secret signs on for after its rotation, in milliseconds.
const day = int64(24 * 60 * 60 * 1000)

// foldWebhook is what one event does to a webhook. After its end only the version is left, so that no secret comes back.
func foldWebhook(state fields, e *record) fields {
	at, version := e.body["at"], integer(state["version"])
	secret := func() fields { return fields{"version": version, "at": at, "keyId": e.body["keyId"]} }
	afresh := func() { state["activeAt"], state["troubles"] = at, []any{} }
	switch bare(e.name) {
	case "WebhookRegistered":
		state = empty(service{name: "webhook", id: "webhookId"}, e.key)
		state["version"], state["status"], state["owner"], state["registeredAt"] = version, "active", e.body["owner"], at
		state["secret"] = secret()
		setTarget(state, e)
		state["activeAt"] = at
	case "WebhookChanged":
		setTarget(state, e)
		afresh()
	case "WebhookPaused":
		state["status"], state["troubles"] = "paused", []any{}
	case "WebhookResumed":
		state["status"] = "active"
		setDisabled(state, "", int64(0), int64(0), "")
		afresh()
	case "WebhookSecretRotated":
		state["previous"], state["previousEndsAt"] = state["secret"], integer(at)+day
		state["secret"] = secret()
	case "RedeliveryRequested":
		askAgain(state, fields{"version": version, "fromAt": e.body["fromAt"], "customerId": e.body["customerId"]})
	case "WebhookTroubleRecorded":
		state["troubles"] = troubles(state["troubles"], e)
	case "WebhookDisabled":
		state["status"], state["troubles"] = "disabled", []any{}
		setDisabled(state, e.body["reason"], e.body["sinceAt"], at, e.body["detail"])
	case "WebhookClosed":
		state = empty(service{name: "webhook", id: "webhookId"}, e.key)
		state["version"] = version
		return state
	}
	state["updatedAt"] = at
	return state
}

func setTarget(state fields, e *record) {
	state["url"], state["events"], state["payload"] = e.body["url"], e.body["events"], e.body["payload"]
}

func setDisabled(state fields, reason, since, at, detail any) {
	state["disabledReason"], state["disabledSinceAt"], state["disabledAt"], state["disabledDetail"] = reason, since, at, detail
}

// wishes is how many wishes for redelivery are kept: the last, and those before it.
const wishes = 16

// askAgain keeps a wish beside those before it. Of too many the two oldest become one that asks for both.
func askAgain(state, wish fields) {
	before, _ := state["earlierRedeliveries"].([]any)
	last, _ := state["redelivery"].(fields)
	if integer(last["version"]) != 0 {
		before = append(slices.Clone(before), last)
	}
	if len(before) == wishes {
		older, _ := before[0].(fields)
		newer, _ := before[1].(fields)
		merged := fields{"version": newer["version"], "fromAt": min(integer(older["fromAt"]), integer(newer["fromAt"])), "customerId": ""}
		if older["customerId"] == newer["customerId"] {
			merged["customerId"] = newer["customerId"]
		}
		before = append([]any{merged}, before[2:]...)
	}
	state["earlierRedeliveries"], state["redelivery"] = before, wish
}

// troubles are those after an event: one for each partition whose calls fail.
func troubles(before any, e *record) []any {
	all := []any{}
	list, _ := before.([]any)
	for _, v := range list {
		if t, _ := v.(fields); integer(t["partition"]) != integer(e.body["partition"]) {
			all = append(all, v)
		}
	}
	if e.body["result"] == "failing" {
		all = append(all, fields{
			"partition": e.body["partition"], "sinceAt": e.body["sinceAt"], "at": e.body["at"], "attempts": e.body["attempts"], "detail": e.body["detail"],
		})
	}
	slices.SortFunc(all, func(a, b any) int {
		x, _ := a.(fields)
		y, _ := b.(fields)
		return cmp.Compare(integer(x["partition"]), integer(y["partition"]))
	})
	return all
}

func emptyWebhook(state fields) {
	set(state, "", "owner", "url", "payload", "disabledReason", "disabledDetail")
	set(state, int64(0), "previousEndsAt", "registeredAt", "activeAt", "disabledSinceAt", "disabledAt", "updatedAt")
	state["events"], state["troubles"], state["earlierRedeliveries"] = []any{}, []any{}, []any{}
	none := fields{"version": int64(0), "at": int64(0), "keyId": ""}
	state["secret"], state["previous"] = none, none
	state["redelivery"] = fields{"version": int64(0), "fromAt": int64(0), "customerId": ""}
}

// publicWebhook is the record of webhook.state.v1; nil for one that was closed.
func publicWebhook(state fields) fields {
	if state["status"] == "" {
		return nil
	}
	return state
}
