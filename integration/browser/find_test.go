//go:build browser

package browser

import (
	"strings"
	"testing"
)

// TestFindingAndUnderstandingACustomer: by name and by city, what waits and why, what has happened and what led to it, and what
// a partner sees of it.
func TestFindingAndUnderstandingACustomer(t *testing.T) {
	s := up(t)
	b := open(t, s.http)
	s.utopia("customer", "register", "c-7", "--name", "Édith Piaf", "--email", "edith@example.org", "--country", "NL", "--city", "Gouda", "--postcode", "2801 JG", "--street", "Markt 1")
	s.utopia("customer", "move", "c-7", "--country", "NL", "--city", "Delft", "--postcode", "2611 GW", "--street", "Markt 2")
	s.awaitMail("edith@example.org", "confirm", 1)

	b.visit("/customers/")
	b.fill("#find", "edith")
	b.click("form[role=search] button")
	b.see("Found by")
	b.see("Édith Piaf")
	b.look("found")
	b.visit("/waiting")
	b.see("Changes that wait")
	b.see("It waits for the customer to follow the link in the mail.")
	b.look("waiting")

	b.visit("/customers/c-7/timeline")
	b.until(`["RequestAddressChange", "move", "mail"].some(w => document.body.innerText.includes(w)) && document.querySelector("ol.causes ol.effects ol.effects") !== null`)
	if led := b.text(`document.querySelector("ol.causes").innerText`); !strings.Contains(led, "command") || !strings.Contains(led, "event") || !strings.Contains(led, "mail") {
		t.Errorf("the timeline says\n%s", led)
	}
	b.look("timeline")
	keep(b, "timeline")

	b.visit("/login")
	b.see("choose who you are")
	b.look("login")
	b.click("input[value=partner]")
	b.click("form button:not(.second)")
	b.see("Here you are a partner")
	b.visit("/customers/c-7")
	b.see("Here you are a partner")
	if page := b.text(`document.body.innerText`); strings.Contains(page, "Piaf") || strings.Contains(page, "edith@") || strings.Contains(page, "Gouda") {
		t.Errorf("a partner sees\n%s", page)
	}
	b.look("partner")
	b.quiet()
}
