//go:build synctests

package simulation

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// inject lets the faults happen, each at its time; nights do not count. It returns when the run's time is over; faults may still be under way.
func (w *world) inject(faults []fault, lasts time.Duration) {
	began := time.Now()
	for _, f := range faults {
		time.Sleep(time.Until(began.Add(f.At)))
		if f.Kind == night {
			began = began.Add(w.night(f.For))
			continue
		}
		w.faults.Go(func() { w.happen(f) })
	}
	time.Sleep(time.Until(began.Add(lasts)))
}

// happen is one fault, from its beginning to its end.
func (w *world) happen(f fault) {
	switch f.Kind {
	case refuse:
		w.refuse(f)
	case noRegistry:
		w.registry.be(f.N)
		time.Sleep(f.For)
		w.hitN("registry away", w.registry.be(moodFine))
	case hotKey:
		w.senders.Lock()
		w.traffic.Favour(fmt.Sprintf("c-%d", f.N))
		w.senders.Unlock()
		time.Sleep(f.For)
		w.senders.Lock()
		w.traffic.Favour("")
		w.senders.Unlock()
		w.hit("hot key")
	case compaction:
		w.witness.remember()
		w.compact()
		w.hit("compacted")
	case rehash:
		w.cluster.RehashCoordinators()
		w.hit("coordinators moved")
	case storm:
		w.storm(f)
	default:
		w.places[f.Place].suffer(f)
	}
}

// suffer is a fault of one instance.
func (p *place) suffer(f fault) {
	w, l := p.w, p.now.Load()
	count := func(what string) func() { return func() { w.hit(what) } }
	key := keyNamed(f.Key)
	switch f.Kind {
	case loseAnswer:
		l.link.add(&rule{key: key, left: f.N, lose: true, hit: count("answer lost")})
	case wrongReply:
		e := errNamed(f.Err)
		if strings.Contains(f.Err, "FENCED") || strings.Contains(f.Err, "EPOCH") {
			w.hit("said to be fenced")
		}
		l.link.add(&rule{key: key, left: f.N, err: e.Code, hit: count("answer replaced")})
	case lateAsk:
		l.link.add(&rule{key: key, left: f.N, hold: f.For, hit: count("request late")})
	case standStill:
		if l.link.freeze() {
			time.Sleep(f.For)
			l.link.thaw()
			w.hit("stood still")
		}
	case cutBoth, cutOut, cutIn:
		if l.link.cut(f.Kind != cutIn, f.Kind != cutOut) {
			time.Sleep(f.For)
			l.link.heal()
			w.hit(f.Kind)
		}
	case skew:
		p.skew.Store(int64(time.Duration(f.N) * time.Minute))
		time.Sleep(f.For)
		p.skew.Store(0)
		w.hit("clock wrong")
	case oldCopy:
		copied := l.fs
		if copied == nil {
			return
		}
		copied = copied.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(w.seed, uint64(f.N)))}) //nolint:gosec // Not negative.
		time.Sleep(f.For)
		p.down(f, func() { p.disk = copied })
	default:
		p.down(f, nil)
	}
}

// down is a fault that ends the process, and perhaps changes its disk, before it is started again.
func (p *place) down(f fault, change func()) {
	w := p.w
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.gone || w.isOver() {
		return
	}
	l := p.now.Load()
	switch f.Kind {
	case kill:
		l.killAt(f.Point, max(1, f.N), 100)
	case powerCut:
		l.killAt(f.Point, 1, f.N%100)
		w.hit("power cut")
	case leaveFor:
		l.killAt(f.Point, 1, 100)
		p.gone = true
		p.forget()
		w.hit("never came back")
		return
	case stop:
		l.stop()
		w.hit("stopped")
	default:
		if f.N%2 == 0 {
			l.killAt("", 1, 100)
		} else {
			l.stop()
		}
		w.hit("disk damaged")
	}
	if !l.ending.Load() {
		return // it ended by itself, and the watcher starts it again
	}
	switch f.Kind {
	case wipe:
		p.disk = vfs.NewCrashableMem()
	case bitFlip, truncate, loseFile:
		w.damage(p.disk, f)
	}
	if change != nil {
		change()
	}
	time.Sleep(f.For)
	p.start()
}

// damage changes one file of a state directory.
func (w *world) damage(fs *vfs.MemFS, f fault) {
	var files []string
	var walk func(dir string)
	walk = func(dir string) {
		names, err := fs.List(dir)
		if err != nil {
			return
		}
		slices.Sort(names)
		for _, name := range names {
			full := path.Join(dir, name)
			if info, err := fs.Stat(full); err != nil || name == "LOCK" {
				continue
			} else if info.IsDir() {
				walk(full)
			} else if info.Size() > 0 {
				files = append(files, full)
			}
		}
	}
	walk("/")
	if len(files) == 0 {
		return
	}
	name := files[f.N%len(files)]
	b := readAll(fs, name)
	switch f.Kind {
	case bitFlip:
		b[(f.N/7)%len(b)] ^= 1 << (f.N % 8)
	case truncate:
		b = b[:(f.N/7)%len(b)]
	case loseFile:
		_ = fs.Remove(name)
		w.hit(f.Kind)
		return
	}
	file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = file.Write(b)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		w.tb.Errorf("%s of %s: %v", f.Kind, name, err)
	}
	w.hit(f.Kind)
}

func readAll(fs vfs.FS, name string) []byte {
	file, err := fs.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(file)
	if err != nil {
		return nil
	}
	return b
}

// refuse makes the brokers answer with an error, the processors and their groups only.
func (w *world) refuse(f fault) {
	if strings.Contains(f.Err, "FENCED") || strings.Contains(f.Err, "EPOCH") {
		w.hit("said to be fenced")
	}
	h := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{keyNamed(f.Key)}, Err: errNamed(f.Err), Count: f.N, When: transactional})
	time.Sleep(10 * time.Second)
	h.Remove()
	w.hitN("error injected", h.Hits())
}

// compact lets the broker compact its topics. kfake also moves the start of a log to the first record that is left, and refuses whoever
// reads on from before it; Kafka's cleaner does not, and a reader gets what comes next.
func (w *world) compact() {
	if !w.cleaned.Swap(true) {
		w.cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) { w.readOn(r); return nil, nil, false })
	}
	w.cluster.Compact()
}

// readOn lets a request read from the start of the log if that is behind what it asks for.
func (w *world) readOn(r kmsg.Request) {
	fetch, _ := r.(*kmsg.FetchRequest)
	for i := range fetch.Topics {
		topic := w.cluster.TopicIDInfo(fetch.Topics[i].TopicID)
		if topic == nil {
			continue
		}
		for k := range fetch.Topics[i].Partitions {
			p := &fetch.Topics[i].Partitions[k]
			if now := w.cluster.PartitionInfo(topic.Topic, p.Partition); now != nil {
				p.FetchOffset = max(p.FetchOffset, now.LogStartOffset)
			}
		}
	}
}

// transactional leaves the tests' own producer alone.
func transactional(r kmsg.Request) bool {
	p, ok := r.(*kmsg.ProduceRequest)
	return !ok || p.TransactionID != nil
}

// night ends every process, lets hours pass, and starts them again. It returns how long it was.
func (w *world) night(lasts time.Duration) time.Duration {
	began := time.Now()
	w.senders.Lock()
	defer w.senders.Unlock()
	for _, name := range places() {
		p := w.places[name]
		p.turn.Lock()
		defer p.turn.Unlock()
	}
	for _, name := range places() {
		if p := w.places[name]; !p.gone {
			if p.rng.IntN(2) == 0 {
				p.now.Load().stop()
			} else {
				p.now.Load().killAt("", 1, 100)
			}
		}
	}
	w.traffic.Forget()
	w.dark.Store(true)
	time.Sleep(lasts)
	w.dark.Store(false)
	for _, name := range places() {
		w.places[name].start()
	}
	w.hit("nights")
	return time.Since(began)
}

// storm lets further instances of a service come and go.
func (w *world) storm(f fault) {
	began := time.Now()
	for i := range f.N {
		w.faults.Go(func() {
			p := w.newPlace(fmt.Sprintf("%s-storm%d.%d", service(f.Place), f.At.Milliseconds(), i))
			rng := rand.New(rand.NewPCG(w.seed, hash(p.name)))
			time.Sleep(time.Duration(rng.Int64N(int64(f.For / 2))))
			p.turn.Lock()
			defer p.turn.Unlock()
			p.start()
			time.Sleep(time.Until(began.Add(f.For/2 + time.Duration(rng.Int64N(int64(f.For/2))))))
			if l := p.now.Load(); rng.IntN(2) == 0 {
				l.stop()
			} else {
				l.killAt("", 1, 100)
			}
			p.gone = true
			p.forget()
			w.hit("came and went")
		})
	}
}

// forget ends the membership of an instance that is gone, if it still has one when the session must have passed. Kafka does so by itself, and kfake
// not if the connection was gone when it answered the member's last join: the others would wait for it for ever.
func (p *place) forget() {
	p.w.zombies.Go(func() {
		time.Sleep(2 * sessionTimeout)
		ctx, cancel := context.WithTimeout(context.Background(), sessionTimeout)
		defer cancel()
		_, _ = p.w.adm.LeaveGroup(ctx, kadm.LeaveGroup(service(p.name)).InstanceIDs(p.name))
	})
}

// heal ends all faults, and sees to it that everybody who is to be there is there.
func (w *world) heal() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.faults.Wait()
	for _, name := range places() {
		p := w.places[name]
		p.turn.Lock()
		l := p.now.Load()
		l.mu.Lock()
		l.point = ""
		l.mu.Unlock()
		l.link.mu.Lock()
		l.link.rules = nil
		l.link.mu.Unlock()
		p.turn.Unlock()
	}
}
