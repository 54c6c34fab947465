//go:build browser

package browser

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// pictures makes the README's pictures anew: go test -tags browser ./integration/browser -pictures.
var pictures = flag.Bool("pictures", false, "write the README's pictures")

// maxPicture is the size of a picture in the README, in bytes.
const maxPicture = 150_000

// TestACustomerMovesInABrowser is the whole talk on a screen: registered by a form, moved by a form, the mail opened, its
// link followed by keyboard, and billing has the new address without anybody having asked it.
func TestACustomerMovesInABrowser(t *testing.T) {
	s := up(t)
	b := open(t, s.http)

	b.visit("/")
	b.see("A customer moves")
	b.look("front")
	b.visit("/customers/")
	b.see("There is nobody here yet")
	b.look("nobody")

	register(b)
	b.see("Grace Hopper")
	s.utopia("billing", "issue", "c-17", "--invoice", "i-1", "--amount", "12.50", "--currency", "EUR", "--text", "Compiler")
	b.see("12.50 EUR") // the page is fresh without being loaded again
	b.look("customer")

	move(b)
	b.see("It waits for the customer to follow the link in the mail.")
	b.look("waits")
	m, _ := s.awaitMail("grace@example.org", "confirm", 1)
	b.visit("/dev/mail/?to=grace@example.org")
	b.see(m.Subject)
	b.look("mails")
	b.click("#inbox tbody a")
	b.see("As a mail program shows it")
	time.Sleep(300 * time.Millisecond) // the frame has no script that could tell that it is drawn
	b.look("mail")
	keep(b, "mail")

	// By keyboard: into the mail, to its first link, follow it, press the button.
	b.do("into the mail", chromedp.Focus(chromedp.CSS("p.lead a")), chromedp.KeyEvent(kb.Tab))
	b.until(`document.activeElement.tagName === "IFRAME"`)
	b.enter("/confirm")
	b.see("Nothing has changed yet.")
	b.look("confirm")
	b.do("confirm by keyboard", chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	b.see("Your new address is in effect")
	b.look("moved")

	b.visit("/customers/c-17")
	b.until(`document.querySelectorAll("#far .good").length === 3 && document.getElementById("notices").innerText.includes("mail sent")`)
	if bill := b.text(`document.getElementById("bill").innerText`); !strings.Contains(bill, "Gouda") || !strings.Contains(bill, "i-1") {
		t.Errorf("billing has\n%s", bill)
	}
	b.look("everybody")
	keep(b, "customer")
	s.awaitMail("grace@example.org", "has changed", 1)
	b.quiet()
}

// register fills the form in; the fields follow the country while the focus stays.
func register(b *tab) {
	b.t.Helper()
	b.visit("/register")
	b.see("Register a customer")
	b.look("register")
	b.fill("#id", "c-17")
	b.fill("#name", "Grace Hopper")
	b.fill("#email", "grace@example.org")
	b.do("choose a country", chromedp.Focus(chromedp.CSS("#country")), choose("US"))
	b.see("ZIP code")
	if focus := b.text("document.activeElement.id"); focus != "country" {
		b.t.Errorf("the focus is on %q", focus)
	}
	b.fill("#street", "1 Navy Way")
	b.do("enter sends", chromedp.Focus(chromedp.CSS("#name")), chromedp.KeyEvent(kb.Enter))
	b.see("Please look at:")
	b.look("register-wrong")
	b.fill("#city", "Arlington")
	b.do("choose a state", chromedp.SetValue(chromedp.CSS("#region"), "VA"))
	b.fill("#postcode", "22202")
	b.click("button[value=send]:not(.skip)")
}

// choose chooses a country as a person does who opens the list.
func choose(country string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](`{const c = document.getElementById("country"); c.value = "`+country+`"; c.dispatchEvent(new Event("change", {bubbles: true}))}; true`)(ctx, t)
		return err
	})
}

func move(b *tab) {
	b.t.Helper()
	b.click(`a[href="/customers/c-17/move"]`)
	b.see("Another address for Grace Hopper")
	b.do("choose a country", choose("NL"))
	b.see("Postal code")
	b.fill("#street", "Markt 1")
	b.fill("#postcode", "2801 JG")
	b.fill("#city", "Gouda")
	b.look("move")
	b.click("button[value=send]:not(.skip)")
}

// TestWhereALinkCanLead: each end of a link has its page; also in another language, and without scripts.
func TestWhereALinkCanLead(t *testing.T) {
	s := up(t)
	b := open(t, s.http)
	s.utopia("customer", "register", "c-1", "--name", "Ada", "--email", "ada@example.org", "--country", "NL", "--city", "Gouda", "--postcode", "2801 JG", "--street", "Markt 1")
	ask := func(street string) {
		s.utopia("customer", "move", "c-1", "--country", "NL", "--city", "Gouda", "--postcode", "2801 JG", "--street", street)
	}
	follow := func(link, button, says, name string) {
		t.Helper()
		b.do("leave", chromedp.Navigate("about:blank"))
		b.do("follow a link", chromedp.Navigate(link))
		b.do(button, chromedp.Click(chromedp.CSS(`section:not([hidden]) button`)))
		b.see(says)
		b.look(name)
	}

	ask("Markt 2")
	_, first := s.awaitMail("ada@example.org", "confirm", 1)
	ask("Markt 3")
	_, second := s.awaitMail("ada@example.org", "confirm", 2)
	if len(first) != 2 || len(second) != 2 {
		t.Fatalf("links %q and %q", first, second)
	}
	follow(first[0], "Confirm", "There is a newer request", "superseded")
	b.do("leave", chromedp.Navigate("about:blank"))
	b.do("reject", chromedp.Navigate(second[1]))
	b.see("Keep your old address?")
	b.look("reject")
	follow(second[1], "Keep", "Your address stays as it is", "kept")
	follow(second[0], "Confirm", "This link has been used already", "used")
	follow(strings.Replace(second[0], "#v1.", "#v1.x", 1), "Confirm", "This link does not work", "invalid")
	b.visit("/confirm")
	b.see("Answer our mail")
	b.look("paste")

	b.do("read German", send(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "test", AcceptLanguage: "de-DE,de"}))
	follow(second[1], "Behalten", "Dieser Link wurde schon benutzt", "used-german")
	b.do("read English", send(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "test", AcceptLanguage: "en"}))

	ask("Markt 4")
	_, third := s.awaitMail("ada@example.org", "confirm", 3)
	b.do("no scripts", send(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	b.do("leave", chromedp.Navigate("about:blank"))
	b.do("paste the link", chromedp.Navigate(third[0]), chromedp.KeyEvent(kb.Tab), send(input.InsertText, input.InsertTextParams{Text: third[0]}))
	b.picture("without-scripts")
	b.do("send", chromedp.KeyEvent(kb.Enter), send(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}))
	b.see("Your new address is in effect")
	b.quiet()
}

// keep takes a picture for the README, from the top of the page or of a part of it.
func keep(b *tab, name string, part ...string) {
	b.t.Helper()
	if !*pictures {
		return
	}
	b.text(`scrollTo(0, 0), "top"`)
	for _, p := range part {
		b.text(fmt.Sprintf(`document.querySelector(%q).scrollIntoView(), "part"`, p))
	}
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		b.t.Fatal(err)
	}
	var small bytes.Buffer // a browser compresses for speed, and keeps every shade
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, paletted(picture)); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("pictures", name+".png"), small.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// paletted is a picture in 256 of its colours: the most frequent ones that differ to the eye.
func paletted(p image.Image) *image.Paletted {
	often := map[color.Color]int{}
	for y := p.Bounds().Min.Y; y < p.Bounds().Max.Y; y++ {
		for x := p.Bounds().Min.X; x < p.Bounds().Max.X; x++ {
			often[p.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(often), func(a, b color.Color) int {
		return cmp.Or(often[b]-often[a], strings.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	var some color.Palette
	for _, c := range colours {
		if len(some) < 256 && (len(some) == 0 || far(c, some.Convert(c))) {
			some = append(some, c)
		}
	}
	out := image.NewPaletted(p.Bounds(), some)
	draw.Draw(out, out.Bounds(), p, p.Bounds().Min, draw.Src)
	return out
}

// far says whether one sees that two colours differ, side by side.
func far(a, b color.Color) bool {
	r, g, bl, _ := a.RGBA()
	r2, g2, b2, _ := b.RGBA()
	apart := func(a, b uint32) uint32 { return (max(a, b) - min(a, b)) >> 8 }
	return apart(r, r2)+apart(g, g2)+apart(bl, b2) > 36
}

// The README shows pictures of what this test has seen, small enough to be loaded by anybody.
func TestPictures(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mail", "customer", "timeline", "flow"} {
		path := "pictures/" + name + ".png"
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(bytes.NewReader(b)); err != nil || len(b) > maxPicture {
			t.Errorf("%s: %d bytes, %v", path, len(b), err)
		}
		if !bytes.Contains(readme, []byte("](integration/browser/"+path+")")) {
			t.Errorf("the README does not show %s", path)
		}
	}
}
