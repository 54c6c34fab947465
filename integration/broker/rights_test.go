//go:build broker

package broker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"utopia/topics"
)

// oftenLoggedIn is how long a login holds on a secured cluster: a connection must log in again after it.
const oftenLoggedIn = 6 * time.Second

// A right that is taken away while a binary runs stops its work, not its life: it says what it lacks, and goes on when it has
// it again.
func rightsComeAndGo(t *testing.T, s *secured) {
	t.Helper()
	admin := s.admin.With(t)
	client := asker(admin)
	p := s.as(t, topics.Customer).Spawn("lawful", "customer")
	register(admin, client, "lawful-0")
	acl := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Allow("User:" + topics.Customer).AllowHosts().ResourcePatternType(kadm.ACLPatternLiteral)
	}
	for i, one := range []struct {
		right *kadm.ACLBuilder
		says  string
	}{
		{acl().Topics(topics.CustomerEvents.Name).Operations(kadm.OpWrite), "TOPIC_AUTHORIZATION_FAILED"},
		{acl().Topics(topics.CustomerCommands.Name).Operations(kadm.OpRead), "TOPIC_AUTHORIZATION_FAILED"},
		{acl().Groups(topics.Customer).Operations(kadm.OpRead), "GROUP_AUTHORIZATION_FAILED"},
		{
			acl().TransactionalIDs(topics.Customer + "-").ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpWrite),
			"TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
		},
	} {
		customer, from := fmt.Sprintf("lawful-%d", i+1), p.Logged()
		removed, err := admin.Admin.DeleteACLs(t.Context(), one.right)
		if err != nil || len(removed) != 1 || len(removed[0].Deleted) != 1 {
			t.Fatalf("%+v: %v", removed, err)
		}
		asked := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			_, err := client.Ask(ctx, customer, person(customer))
			asked <- err
		}()
		admin.Until(time.Minute, "it says "+one.says, func() (bool, error) { return p.SaidSince(from, one.says), nil })
		select {
		case err := <-asked:
			t.Errorf("%s was answered without the right: %v", customer, err)
			asked <- nil
		default:
		}
		admin.CLI("acl", "apply", "../../cmd/customer/rights.acl")
		began := time.Now()
		if err := <-asked; err != nil {
			t.Errorf("%s: %v", customer, err)
		}
		t.Logf("without the right it said %s; answered %v after it was given back", one.says, time.Since(began).Round(time.Millisecond))
		if !p.Running() {
			t.Fatalf("it ended because of %s", one.says)
		}
	}
	p.Stop()
}

// A password that is changed at the cluster first and in the file later stops the work in between.
func passwordChanges(t *testing.T, s *secured) {
	t.Helper()
	admin := s.admin.With(t)
	client := asker(admin)
	w := s.as(t, topics.Customer)
	file := filepath.Join(w.Dir, "password")
	write := func(word string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(word+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(password)
	w.Extra[4] = "UTOPIA_SASL_PASSWORD_FILE=" + file
	p := w.Spawn("rotated", "customer")
	register(admin, client, "rotated-0")
	const next = "the next password"
	s.passwords(t, next, topics.Customer)
	t.Cleanup(func() { s.passwords(t, password, topics.Customer) })
	w.Until(4*oftenLoggedIn, "it says that it cannot log in", func() (bool, error) { return p.Said("SASL"), nil })
	write(next)
	took := register(admin, client, "rotated-1")
	t.Logf("answered %v after the file had the next password", took.Round(time.Millisecond))
	if !p.Running() {
		t.Fatal("it ended because of a password")
	}
	p.Stop()
}
