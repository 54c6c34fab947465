//go:build synctests

package simulation

import (
	"bytes"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"utopia/integration/check/audit"
	"utopia/integration/traffic"
	"utopia/processors"
	"utopia/processors/eos"
)

// How long a healed system may take. Members that were killed are noticed after the session time-out, and the fake broker may wait for the
// rebalance time-out: both are added to the 27 seconds.
const (
	progressWithin = 27*time.Second + sessionTimeout + rebalanceTimeout
	restWithin     = 3 * time.Minute
)

// judge waits until the healed system is at rest and checks the invariants.
func (w *world) judge() {
	w.progress()
	w.rest()
	time.Sleep(transactionTimeout + 5*time.Second) // transactions that nobody will end are aborted by the broker
	w.rest()
	w.compareRows("I2")
	w.compareView()
	w.witness.testify()
	w.rebuild()
	for _, name := range places() {
		w.endInOrder(name)
	}
	w.audit()
	if w.log.leaked != "" {
		w.tb.Errorf("I10 no personal data: it is in a log line: %.80s", w.log.leaked)
	}
}

// progress: after the last fault every group that has something to do does some of it soon.
func (w *world) progress() {
	behind := map[string]int64{}
	w.until("I7 the lag can be told", progressWithin, func() bool {
		lag, err := w.lag()
		maps.Copy(behind, lag)
		return err == nil
	})
	w.until("I7 progress of everybody", progressWithin, func() bool {
		lag, err := w.lag()
		if err != nil {
			return false
		}
		for group, before := range behind {
			if lag[group] == 0 || lag[group] < before {
				delete(behind, group)
			}
		}
		return len(behind) == 0
	})
}

// rest waits until nobody has anything to do, looking several times: one record may cause another.
func (w *world) rest() {
	quiet := 0
	if !w.until("I7 the system comes to rest", restWithin, func() bool {
		quiet++
		lag, err := w.lag()
		for _, n := range lag {
			if n != 0 {
				quiet = 0
			}
		}
		for _, name := range places() {
			if p := w.places[name]; !p.gone && !p.isReady() {
				quiet = 0
			}
		}
		if err != nil {
			quiet = 0
		}
		return quiet >= 8
	}) {
		lag, err := w.lag()
		w.tb.Logf("lag %v, %v", lag, err)
		for _, name := range places() {
			p := w.places[name]
			w.tb.Logf("%s gone %v ready %v", name, p.gone, p.isReady())
		}
	}
}

// readEverything reads the rows of everybody, so that a bit that was flipped shows where nobody has read since, to the reader or to a
// compaction that reading causes. Whose it is ends, and comes back.
func (w *world) readEverything() {
	for _, group := range processors4() {
		for key := range w.last(group + "-table") {
			for _, p := range w.running(group) {
				_, _ = p.Get(key) // compareRows looks at what it says
			}
		}
	}
	time.Sleep(5 * time.Second)
	w.rest()
}

// running are the instances of a group that are there now, by name.
func (w *world) running(group string) iter.Seq2[string, *eos.Processor] {
	return func(yield func(string, *eos.Processor) bool) {
		for _, name := range places() {
			p := w.places[name].now.Load().proc.Load()
			if p != nil && service(name) == group && !yield(name, p) {
				return
			}
		}
	}
}

// compareRows compares the rows that the owners serve with the changelogs, byte for byte.
func (w *world) compareRows(invariant string) {
	if w.met("disk damaged") > 0 {
		w.readEverything()
	}
	for _, group := range processors4() {
		rows := w.last(group + "-table")
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			owners := 0
			for name, p := range w.running(group) {
				got, err := p.Get(key)
				if err != nil {
					continue // another instance's
				}
				if owners++; !bytes.Equal(got, rows[key]) {
					w.tb.Errorf("%s: %s serves another row of %s than the changelog has", invariant, name, key)
				}
			}
			if owners != 1 {
				w.tb.Errorf("%s: %d instances of %s own %s", invariant, owners, group, key)
			}
			w.hit("rows compared")
		}
	}
}

// find looks an address up. Who is the first to read a part of the index meets its damage, and the view says that it reads its rows again.
func (w *world) find(v *customerView, email string) (found []string, err error) {
	if found, err = processors.ByEmail(v, email); errors.Is(err, eos.ErrNotReady) {
		w.until("I7 the view has read its rows again", time.Minute, func() bool {
			found, err = processors.ByEmail(v, email)
			return err == nil
		})
	}
	return found, err
}

// compareView compares what the view serves with the log, byte for byte, and looks for everybody by their e-mail address.
func (w *world) compareView() {
	want := w.last(viewed)
	got := map[string][]byte{}
	v := w.places["view-0"].now.Load().view.Load()
	w.until("I7 the view has caught up", time.Minute, func() bool {
		clear(got)
		if v == nil || v.Iterate(func(key string, row []byte) error { got[key] = bytes.Clone(row); return nil }) != nil {
			return false
		}
		return maps.EqualFunc(want, got, bytes.Equal)
	})
	for key := range got {
		row, err := v.Get(key)
		if err != nil {
			w.tb.Errorf("I7 view: %s cannot be read: %v", key, err)
			continue
		}
		if found, err := w.find(v, row.Email); row.Email != "" && !slices.Contains(found, key) {
			w.tb.Errorf("I7 view: %s is not found by its e-mail address, but %q, %v", key, found, err)
		}
		w.hit("customers looked for")
	}
}

// rebuild gives one service new disks, and compares what it reads from the changelog with the changelog.
func (w *world) rebuild() {
	group := processors4()[w.seed%4]
	for _, name := range places() {
		if p := w.places[name]; service(name) == group {
			w.endInOrder(name)
			p.turn.Lock()
			p.disk = vfs.NewCrashableMem()
			p.start()
			p.turn.Unlock()
		}
	}
	w.rest()
	w.compareRows("I8")
}

func (w *world) endInOrder(name string) {
	p := w.places[name]
	p.turn.Lock()
	defer p.turn.Unlock()
	if !p.gone {
		p.now.Load().stop()
	}
}

// audit lets the independent checker read everything.
func (w *world) audit() {
	w.registry.be(moodFine)
	report, err := audit.Run(w.tb.Context(), audit.Config{
		Brokers: w.cluster.ListenAddrs(), Client: w.clientOptions(), Schemas: "../../schemas", Registry: "http://registry", HTTP: w.http(),
		Canaries: []string{traffic.Canary},
	})
	if err != nil {
		w.tb.Errorf("the checker cannot read: %v", err)
		return
	}
	for _, what := range []string{"records", "aborted records", "abort markers", "commit markers", "commands", "dead letters", "moved", "duplicates", "agreements"} {
		w.hitN("log: "+what, int(report.Counted[what]))
	}
	for _, v := range report.Violations[:min(5, len(report.Violations))] {
		w.tb.Errorf("%s: %s/%d@%d %s: %s", v.Invariant, v.Topic, v.Partition, v.Offset, v.Key, v.Text)
	}
	if n := len(report.Violations); n > 5 {
		w.tb.Errorf("%d violations in all", n)
	}
}
