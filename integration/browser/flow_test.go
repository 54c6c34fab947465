//go:build browser

package browser

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// TestSeeingRecordsFlow: the numbers of the picture, and of the tables that say the same, change after a command was sent, without the
// page being loaded again; without scripts there is the picture as it was.
func TestSeeingRecordsFlow(t *testing.T) {
	s := up(t)
	b := open(t, s.http)
	b.do("no scripts", send(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	b.visit("/flow")
	b.until(`document.querySelectorAll("svg .box").length > 25 && document.querySelectorAll("[data-rate='customer.commands.v1']").length === 2`)
	b.do("scripts", send(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}))
	b.visit("/flow")
	b.until(`[...document.querySelectorAll("[data-rate='customer.commands.v1']")].every(e => e.textContent === "0.0")`)
	b.text(`window.rates = new Set(); new MutationObserver(() => {
		for (const e of document.querySelectorAll("[data-rate='customer.commands.v1']")) window.rates.add(e.closest("svg, table").tagName + e.textContent);
	}).observe(document.querySelector("main"), {subtree: true, childList: true, characterData: true}); "watched"`)
	s.utopia("customer", "register", "c-7", "--name", "Édith Piaf", "--email", "edith@example.org", "--country", "NL", "--city", "Gouda", "--postcode", "2801 JG", "--street", "Markt 1")
	b.until(`["svg", "TABLE"].every(where => [...window.rates].some(r => r.startsWith(where) && r !== where + "0.0"))`)
	b.until(`document.querySelectorAll("[data-lag='customer.commands.v1 processor/customer']").length === 2 && [...document.querySelectorAll("[data-lag='customer.commands.v1 processor/customer']")].every(e => e.textContent === "0")`)
	b.look("flow")
	b.click(`table a[href="/topics/customer.commands.v1"]`)
	b.see("Offsets that are kept")
	b.quiet()
}

// TestThePictureOfTheFlow takes the README's picture, while the demo has people move and sends garbage.
func TestThePictureOfTheFlow(t *testing.T) {
	if !*pictures {
		t.Skip("only with -pictures")
	}
	b := open(t, up(t, "--demo").http)
	b.visit("/flow")
	b.until(`["mail.outbox.v1", "customer.commands.v1", "billing.state.v1"].every(n => parseFloat(document.querySelector("[data-rate='" + n + "']").textContent) > 5) && document.querySelector("svg .bad") !== null`)
	keep(b, "flow", "figure")
	b.quiet()
}
