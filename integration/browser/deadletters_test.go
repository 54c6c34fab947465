//go:build browser

package browser

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// poison sends what no code can handle.
func (s *system) poison(topic topics.Topic, key, value string) {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(s.t.Context(), &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// TestDecidingAboutADeadLetter: a poisoned record is found, sent again by an operator, who must say why, and shown as sent again; it comes
// back, and is dropped.
func TestDecidingAboutADeadLetter(t *testing.T) {
	s := up(t)
	b := open(t, s.http)
	b.visit("/login")
	b.click("input[value=operator]")
	b.click("form button:not(.second)")
	b.see("Here you are an operator")
	b.visit("/dead-letters")
	b.see("There is none.")
	s.poison(topics.BillingCommands, "poison", "this is not Avro")

	for b.visit("/dead-letters"); !strings.Contains(b.text("document.body.innerText"), "poison"); b.visit("/dead-letters") {
		b.see("Dead letters")
	}
	b.see("open")
	b.look("dead-letters")
	b.click(`a[href^="/dead-letters/billing.commands.v1.dlq/"]`)
	b.see("What is to be done?")
	b.see("this is not Avro")
	b.look("dead-letter")

	b.click("form.sheet button")
	b.see("Choose what is to be done.")
	b.see("Say why, in one line")
	b.look("dead-letter-asks")
	b.click("input[value=retry]")
	b.fill("#reason", "release 1.4 reads it")
	b.click("form.sheet button")
	b.see("What was decided")
	b.see("release 1.4 reads it")
	b.see("It is now")
	if page := b.text("document.body.innerText"); !strings.Contains(page, "(operator)") || strings.Contains(page, "What is to be done?") {
		t.Errorf("a letter that was sent again says\n%s", page)
	}
	b.look("dead-letter-retried")
	b.visit("/dead-letters?state=retried")
	b.see("sent again")

	for b.visit("/dead-letters?state=open"); !strings.Contains(b.text("document.body.innerText"), "poison"); b.visit("/dead-letters?state=open") {
		b.see("Dead letters")
	}
	b.click(`a[href^="/dead-letters/billing.commands.v1.dlq/"]`)
	b.see("What is to be done?")
	b.click("input[value=drop]")
	b.fill("#reason", "a test of the webshop")
	b.click("form.sheet button")
	b.see("dropped: nothing is to be done")
	b.visit("/dead-letters?state=open")
	b.see("There is none like that.")
	b.quiet()
}
