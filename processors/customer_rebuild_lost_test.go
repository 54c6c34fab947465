package processors

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/schemas"
	"utopia/topics"
)

// Nothing of the table is left: every row comes from the events, and what was accepted is still known. What was refused is
// not, and is decided anew.
func TestRebuildWhereNoRowIsReadable(t *testing.T) {
	for name, lose := range map[string]func(a *archive, key string){
		"the table is gone":    func(a *archive, key string) { a.row(key, nil) },
		"every row is garbage": func(a *archive, key string) { a.row(key, []byte("garbage")) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			a.live(5)
			a.give("c-0", &schemas.ChangeEmail{CustomerID: "c-0", Meta: meta("m1"), Email: saskia.Email}) // refused: the same
			undeliverable := &schemas.MailUndeliverable{ReplyTo: "c-1", MailID: "customer/c-1/2/1", Sender: "customer", Detail: "no_such_mailbox"}
			a.d.give(topics.MailReplies, "c-1", undeliverable)
			a.store("c-1")
			told := fact("f1", a.d.now.Add(time.Hour), porto)
			told.CustomerID = "c-0"
			a.d.give(topics.CRMChanges, "c-0", told)
			a.store("c-0")
			before := a.values(topics.CustomerTable)
			for key := range before {
				lose(a, key)
			}
			r := a.rebuild(true)
			if r.Replaced < 5 || r.IDsFromEvents != r.Replaced {
				t.Fatalf("replaced %d, ids of %d from events", r.Replaced, r.IDsFromEvents)
			}
			if again := a.rebuild(false); len(again.Findings) != 0 || again.Same != 5 {
				t.Fatalf("after it: %+v", again)
			}
			after := a.values(topics.CustomerTable)
			if after["nobody"] != nil {
				t.Error("a row that only remembered a refusal is back")
			}
			for key := range before {
				was, _ := a.d.state(key)
				a.d.rows[key] = after[key]
				if is, _ := a.d.state(key); is != was && key != "nobody" {
					t.Errorf("%s is %+v, was %+v", key, is, was)
				}
			}
			delete(a.d.rows, "nobody")
			// c-4 is erased: its id is taken for ever, and the erasure is a repeat.
			if r := a.d.ask("c-4", &schemas.EraseCustomer{CustomerID: "c-4", Meta: meta("e1")}); !r.Repeat || r.Outcome != outcomeAccepted {
				t.Errorf("the erasure again: %+v", r)
			}
			if a.d.give(topics.MailReplies, "c-1", undeliverable); a.d.last.skipped != "known" {
				t.Errorf("the mail's fate again: %+v", a.d.last)
			}
			if a.d.give(topics.CRMChanges, "c-0", told); a.d.last.skipped != "known" {
				t.Errorf("the fact again: %+v", a.d.last)
			}
			if r := a.d.ask("c-0", &schemas.ChangeEmail{CustomerID: "c-0", Meta: meta("m1"), Email: saskia.Email}); r.Repeat || r.Refusal != "same_email" {
				t.Errorf("what was refused: %+v", r)
			}
		})
	}
}

// Who is not told whether the group has members does not replace rows, and neither does who is overtaken by a start.
func TestRebuildAsksTheGroupBeforeItWrites(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(call int, g *kmsg.DescribeGroupsResponseGroup)
		want   error
	}{
		"no right to ask":         {func(_ int, g *kmsg.DescribeGroupsResponseGroup) { g.ErrorCode = kerr.GroupAuthorizationFailed.Code }, kerr.GroupAuthorizationFailed},
		"no answer for the group": {func(_ int, g *kmsg.DescribeGroupsResponseGroup) { g.ErrorCode = kerr.InvalidGroupID.Code }, kerr.InvalidGroupID},
		"a start in between": {func(call int, g *kmsg.DescribeGroupsResponseGroup) {
			if call > 1 {
				g.State, g.Members = "Stable", []kmsg.DescribeGroupsResponseGroupMember{kmsg.NewDescribeGroupsResponseGroupMember()}
			}
		}, ErrProcessorRuns},
		"a group that never was": {func(_ int, g *kmsg.DescribeGroupsResponseGroup) { g.ErrorCode = kerr.GroupIDNotFound.Code }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			a.live(1)
			a.row("c-0", nil)
			calls := 0
			a.cluster.ControlKey(int16(kmsg.DescribeGroups), func(req kmsg.Request) (kmsg.Response, error, bool) {
				a.cluster.KeepControl()
				asked, ok := req.(*kmsg.DescribeGroupsRequest)
				if !ok {
					return nil, nil, false
				}
				calls++
				resp, ok := asked.ResponseKind().(*kmsg.DescribeGroupsResponse)
				if !ok {
					return nil, nil, false
				}
				g := kmsg.NewDescribeGroupsResponseGroup()
				g.Group, g.State = topics.Customer, "Empty"
				test.answer(calls, &g)
				resp.Groups = append(resp.Groups, g)
				return resp, nil, true
			})
			r, err := RebuildCustomer(t.Context(), RebuildOptions{Client: a.opts, IDs: a.ids, Apply: true})
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if wrote := a.values(topics.CustomerTable)["c-0"] != nil; wrote != (test.want == nil) {
				t.Errorf("wrote: %t, report %+v", wrote, r)
			}
		})
	}
}
