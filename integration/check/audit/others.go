package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// foldBilling is what one event does to a customer's invoices.
func foldBilling(state fields, e *record, data fields) fields {
	open, _ := state["open"].([]any)
	invoice := fields{}
	at := slices.IndexFunc(open, func(v any) bool { f, _ := v.(fields); return f["invoiceId"] == e.body["invoiceId"] })
	if at >= 0 {
		invoice, _ = open[at].(fields)
	}
	switch bare(e.name) {
	case "InvoiceIssued":
		state["open"] = append(open, fields{
			"invoiceId": e.body["invoiceId"], "amountCents": e.body["amountCents"], "currency": e.body["currency"],
			"text": data["text"], "issuedAt": e.body["at"], "address": data["address"],
			"addressVersion": e.body["addressVersion"], "sendTo": e.body["addressVersion"], "corrections": int64(0),
		})
	case "InvoiceAddressFrozen", "InvoiceCorrected":
		invoice["address"], invoice["addressVersion"], invoice["sendTo"] = data["address"], e.body["addressVersion"], e.body["addressVersion"]
		if n, ok := e.body["correction"]; ok {
			invoice["corrections"] = n
		}
	case "InvoiceReaddressed":
		invoice["sendTo"] = e.body["addressVersion"]
	case "InvoicePaid":
		if at >= 0 {
			state["open"] = slices.Delete(open, at, at+1)
		}
		paid, _ := state["paid"].([]any)
		sum := sha256.Sum256([]byte(text(e.body["invoiceId"])))
		hash := int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // a hash has no sign
		state["paid"] = append(paid, fields{"hash": hash, "at": e.body["at"]})
	case "CustomerVersionApplied":
		state["status"] = e.body["status"]
		state["customerVersion"] = max(integer(state["customerVersion"]), integer(e.body["customerVersion"]))
		if integer(e.body["addressVersion"]) != 0 {
			state["residence"] = fields{"address": data["address"], "version": e.body["addressVersion"], "reason": e.body["reason"]}
		}
	case "CustomerForgotten":
		state["status"] = "forgotten"
		state["customerVersion"] = max(integer(state["customerVersion"]), integer(e.body["customerVersion"]))
		state["residence"] = fields{"address": noAddress(), "version": int64(0), "reason": ""}
		for _, v := range open {
			if invoice, ok := v.(fields); ok {
				invoice["text"], invoice["address"], invoice["sendTo"] = "", noAddress(), int64(0)
			}
		}
	}
	return state
}

// publicBilling is the record of billing.state.v1.
func publicBilling(state fields) fields {
	out := pick(state, "customerId", "version", "customerVersion", "status", "open")
	if out["status"] == "" {
		out["status"] = "unknown"
	}
	residence, _ := state["residence"].(fields)
	out["address"], out["addressVersion"], out["reason"] = residence["address"], residence["version"], residence["reason"]
	if out["reason"] == "" {
		out["reason"] = "unknown"
	}
	return out
}

// foldMail is what one event does to a mail; nothing is left of a forgotten one.
func foldMail(state fields, e *record) fields {
	switch bare(e.name) {
	case "MailAccepted":
		state["status"], state["acceptedAt"] = "queued", e.body["at"]
		state["sender"], state["replyTo"], state["correlationId"] = e.body["sender"], e.body["replyTo"], e.body["correlationId"]
	case "MailDelivered":
		state["status"] = "sent"
		state["reportedAt"], state["attempts"], state["detail"] = e.body["at"], e.body["attempts"], e.body["detail"]
	case "MailFailed":
		state["status"] = "undeliverable"
		state["reportedAt"], state["attempts"], state["detail"] = e.body["at"], e.body["attempts"], e.body["detail"]
	case "MailForgotten":
		return nil
	}
	return state
}

// mostNotices is how many notices a row keeps.
const mostNotices = 20

// foldNotification is what one event does to a customer's notices.
func foldNotification(state fields, e *record, data fields) fields {
	notices, _ := state["notices"].([]any)
	switch bare(e.name) {
	case "ContactUpdated":
		for _, name := range []string{"status", "customerVersion", "addressVersion"} {
			state[name] = e.body[name]
		}
		state["name"], state["email"], state["language"] = data["name"], data["email"], data["language"]
	case "NotificationSent":
		recipients, _ := data["recipients"].([]any)
		mails := make([]any, len(recipients))
		for i := range mails {
			mails[i] = "open"
		}
		notices = append(notices, fields{
			"version": state["version"], "kind": e.body["kind"], "customerVersion": e.body["customerVersion"],
			"at": e.body["at"], "mails": mails,
		})
		state["notices"] = notices[max(0, len(notices)-mostNotices):]
		state["asked"] = integer(state["asked"]) + int64(len(mails))
	case "NotificationDelivered":
		state["delivered"] = integer(state["delivered"]) + 1
		settle(notices, e, "sent")
	case "NotificationFailed":
		state["failed"] = integer(state["failed"]) + 1
		settle(notices, e, text(e.body["fate"]))
	case "CustomerForgotten":
		set(state, "", "name", "email", "language")
		state["status"], state["addressVersion"] = "forgotten", int64(0)
		state["customerVersion"] = max(integer(state["customerVersion"]), integer(e.body["customerVersion"]))
	}
	return state
}

// settle writes a mail's fate into its notice.
func settle(notices []any, e *record, fate string) {
	for _, v := range notices {
		notice, _ := v.(fields)
		mails, _ := notice["mails"].([]any)
		if n := integer(e.body["mail"]); notice["version"] == e.body["notice"] && n >= 1 && int(n) <= len(mails) {
			mails[n-1] = fate
		}
	}
}

// derived splits the id of what a processor caused: <group>/<event id>/<n>, event id <key>/<version>.
func derived(id string) (group, key string, version int64, ok bool) {
	parts := strings.Split(id, "/")
	if len(parts) < 4 {
		return "", "", 0, false
	}
	version, err := strconv.ParseInt(parts[len(parts)-2], 10, 64)
	return parts[0], strings.Join(parts[1:len(parts)-2], "/"), version, err == nil
}
