package audit

func noResidence() fields {
	return fields{
		"address": noAddress(), "reason": "", "version": int64(0), "verified": false,
		"occurredAt": int64(0), "recordedAt": int64(0), "source": "", "factId": "",
	}
}

func noChange() fields {
	return fields{
		"changeId": "", "status": "", "address": noAddress(), "reason": "", "version": int64(0),
		"requestedAt": int64(0), "expiresAt": int64(0), "effectiveAt": int64(0), "reminded": int64(0), "undeliverable": "",
	}
}

// residence is the address that an event of the customer sets.
func residence(state fields, e *record, address any, reason string) fields {
	out := noResidence()
	out["address"], out["reason"], out["version"], out["verified"] = address, reason, state["version"], true
	out["occurredAt"], out["recordedAt"] = e.body["at"], e.body["at"]
	for _, name := range []string{"verified", "occurredAt", "source", "factId"} {
		if v, ok := e.body[name]; ok {
			out[name] = v
		}
	}
	return out
}

// foldCustomer is what one event does to a customer.
func foldCustomer(state fields, e *record, data fields) fields {
	change, _ := state["change"].(fields)
	switch bare(e.name) {
	case "CustomerRegistered":
		state["status"] = "active"
		state["name"], state["email"], state["language"] = data["name"], data["email"], data["language"]
		if keeps, _ := e.body["keepsFact"].(bool); !keeps {
			state["address"] = residence(state, e, data["address"], "registered")
		}
	case "AddressChangeRequested":
		change = noChange()
		change["changeId"], change["status"], change["address"] = e.body["changeId"], "unconfirmed", data["address"]
		change["reason"], change["version"], change["requestedAt"] = e.body["reason"], state["version"], e.body["at"]
		change["expiresAt"], change["effectiveAt"] = e.body["expiresAt"], e.body["effectiveAt"]
		state["change"] = change
	case "ConfirmationReminded":
		change["reminded"] = state["version"]
	case "ConfirmationUndeliverable":
		change["undeliverable"] = e.body["detail"]
	case "AddressChangeScheduled":
		change["status"], change["expiresAt"], change["undeliverable"] = "scheduled", int64(0), ""
		change["effectiveAt"] = e.body["effectiveAt"]
	case "AddressChangeCancelled", "AddressChangeExpired", "AddressChangeOutdated":
		state["change"] = noChange()
	case "CustomerMoved":
		state["address"] = residence(state, e, data["address"], "moved")
		if text(e.body["changeId"]) != "" { // a fact leaves the customer's own request alone
			state["change"] = noChange()
		}
	case "AddressCorrected":
		state["address"], state["change"] = residence(state, e, data["address"], "corrected"), noChange()
	case "FactRecorded":
		foldFact(state, e, data)
	case "EmailChanged":
		state["email"] = data["email"]
	case "CustomerClosed":
		state["status"], state["change"] = "closed", noChange()
	case "CustomerErased":
		erased := empty(service{name: "customer", id: "customerId"}, e.key)
		erased["version"], erased["status"] = state["version"], "erased"
		return erased
	}
	return state
}

func foldFact(state fields, e *record, data fields) {
	switch text(e.body["outcome"]) {
	case "unregistered":
		state["status"], state["address"] = "unregistered", residence(state, e, data["address"], "moved")
	case "same":
		address, _ := state["address"].(fields)
		address["occurredAt"], address["recordedAt"] = e.body["occurredAt"], e.body["at"]
		address["source"], address["factId"] = e.body["source"], e.body["factId"]
	}
}

// publicCustomer is the record of customer.state.v1.
func publicCustomer(state fields, at any) fields {
	if state["status"] == "erased" {
		return nil
	}
	out := pick(state, "customerId", "version", "status", "name", "email", "language")
	out["updatedAt"], out["pending"] = at, nil
	address, _ := state["address"].(fields)
	shown := pick(address, "address", "reason", "version", "verified", "occurredAt", "recordedAt", "source", "factId")
	if shown["reason"] == "" {
		shown["reason"] = "unknown"
	}
	out["address"] = shown
	if change, _ := state["change"].(fields); text(change["changeId"]) != "" {
		out["pending"] = pick(change, "changeId", "status", "reason", "version", "requestedAt", "expiresAt", "effectiveAt", "undeliverable")
	}
	return out
}
