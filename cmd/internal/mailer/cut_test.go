package mailer

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"utopia/topics"
)

// commitAt says, as the group's offsets, how far mailers are in every partition.
func (w *world) commitAt(offset int64, meta string) {
	w.t.Helper()
	all := kadm.Offsets{}
	for p := range int32(topics.EmbeddedPartitions) {
		all.Add(kadm.Offset{Topic: topics.MailOutbox.Name, Partition: p, At: offset, LeaderEpoch: -1, Metadata: meta})
	}
	if err := kadm.NewClient(w.cl).CommitAllOffsets(w.ctx(), Group, all); err != nil {
		w.t.Fatal(err)
	}
}

// The outbox was cut off, or made again, while no mailer ran: mails that come next are sent, those before were.
func TestAnOutboxThatIsShorterThanThePosition(t *testing.T) {
	for name, c := range map[string]struct {
		committed int64
		meta      string
		again     [2]int // how often the mails that were there are sent
	}{
		"the position is beyond":             {40, "", [2]int{}},
		"and so are mails that were open":    {40, encodeMeta([]int64{40, 45}, 50), [2]int{}},
		"the end of what was done is":        {0, encodeMeta([]int64{0}, 50), [2]int{1, 0}},
		"and so is another that was open":    {0, encodeMeta([]int64{0, 45}, 50), [2]int{1, 0}},
		"two that were open are not, but it": {0, encodeMeta([]int64{0, 1, 2}, 50), [2]int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := newWorld(t), &postman{}
			w.put(liveMail("m-1"), liveMail("m-2")) // in one partition
			w.commitAt(c.committed, c.meta)
			_, stop := w.start(p, nil)
			// What is there before the mailer has looked, it takes for what was done.
			w.says("shorter")
			w.put(liveMail("m-3"), liveMail("m-4"))
			w.reports(2 + c.again[0] + c.again[1])
			if err := stop(); err != nil || p.sent("m-1") != c.again[0] || p.sent("m-2") != c.again[1] || p.sent("m-3") != 1 || p.sent("m-4") != 1 {
				t.Errorf("%v, %v", err, p.copies)
			}
		})
	}
}

// says waits until something was logged.
func (w *world) says(what string) {
	w.t.Helper()
	for ctx := w.ctx(); !strings.Contains(w.logs.String(), what); time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil {
			w.t.Fatalf("not %q, but %s", what, w.logs)
		}
	}
}

// The outbox is cut off while mails are sent: another mail that takes an offset is sent, and is not done when the one is that had it.
func TestAnOutboxThatIsCutOffWhileItIsRead(t *testing.T) {
	logs := &safeBuffer{}
	m, p := &Mailer{cfg: Config{Logger: slog.New(slog.NewTextHandler(logs, nil))}}, newPart()
	read := func(offsets ...int64) {
		for _, o := range offsets {
			if m.reads(0, p, o); !p.window.take(o) {
				t.Errorf("%d is not sent", o)
			}
		}
	}
	expect := func(want int64) {
		t.Helper()
		if got, _ := p.window.commit(); got != want {
			t.Errorf("%d is committed, not %d", got, want)
		}
	}
	read(0, 1, 2, 3, 4, 5)
	for _, done := range []int64{0, 1, 2, 4} {
		p.finish(done, 0)
	}
	expect(3)
	read(4, 5)
	p.finish(5, 0)
	p.finish(3, 0)
	expect(4)
	p.finish(4, 1)
	expect(5)
	p.finish(5, 1)
	expect(6)
	if said := logs.String(); strings.Count(said, "shorter") != 1 || len(p.cuts) != 1 {
		t.Errorf("%v, says %s", p.cuts, said)
	}
}
