//go:build synctests

package simulation

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/parts"
	"utopia/processors"
	"utopia/processors/eos"
	"utopia/schemas"
)

const mailerGroup = parts.MailerGroup

// How long the broker waits for who is silent, shorter than in production so that more happens in a run.
const (
	sessionTimeout     = 10 * time.Second
	transactionTimeout = 10 * time.Second
	// Less than half of how long a client waits for its join, which is this and 10 s: kfake forgets the session of a member whose
	// connection is gone when it is answered, and waits for it anew whenever another one joins again. Kafka does neither.
	rebalanceTimeout = 8 * time.Second
)

// place is an instance over all its lives: its name, its disk, its clock.
type place struct {
	w    *world
	name string
	rng  *rand.Rand // under turn
	skew atomic.Int64

	turn turn       // held by who starts, stops or kills it
	disk *vfs.MemFS // under turn, while it is down
	gone bool       // under turn: never to come back
	now  atomic.Pointer[life]
}

// life is one process.
type life struct {
	p      *place
	link   *link
	fs     *vfs.MemFS
	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done

	proc   atomic.Pointer[eos.Processor]
	view   atomic.Pointer[customerView]
	open   atomic.Bool // a transaction is open
	ending atomic.Bool // it was told to end: that it does is no surprise

	mu    sync.Mutex
	point string // at which it is to be killed
	left  int    // times the point is passed until then
	spare int    // percent of what is not synced that survives
	died  chan struct{}
	after *vfs.MemFS // the disk that it left, when it has died
}

type customerView = processors.View[*schemas.CustomerState]

func (w *world) newPlace(name string) *place {
	p := &place{w: w, name: name, turn: newTurn(), disk: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(w.seed, hash(name)))}
	p.now.Store(&life{p: p, link: newLink(w.network), done: closed(), died: make(chan struct{})})
	return p
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// start begins a life. The caller has the turn.
func (p *place) start() {
	if p.gone {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{p: p, link: newLink(p.w.network), fs: p.disk, cancel: cancel, done: make(chan struct{}), died: make(chan struct{})}
	p.now.Store(l)
	p.w.zombies.Go(func() {
		defer close(l.done)
		l.err = l.run(ctx)
	})
	p.w.zombies.Go(l.watch)
}

// watch starts a process again that ended because of what was done to it, as a supervisor of processes does.
func (l *life) watch() {
	<-l.done
	if l.ending.Load() {
		return
	}
	w, p := l.p.w, l.p
	wiped := false
	switch {
	case errors.Is(l.err, eos.ErrFenced), errors.Is(l.err, parts.ErrMailerFenced):
		// A broker that says so is believed, and a supervisor starts the process again.
		if w.hit("ended as fenced"); w.met("said to be fenced") == 0 {
			w.tb.Errorf("%s was fenced by nobody: %v", p.name, l.err)
		}
	case errors.Is(l.err, eos.ErrStateDamaged):
		if w.hit("ended as damaged"); w.met("disk damaged") == 0 {
			w.tb.Errorf("%s finds damage on a good disk: %v", p.name, l.err)
		}
	case errors.Is(l.err, eos.ErrStateCorrupt):
		if w.hit("refused its state"); w.met("disk damaged") == 0 {
			w.tb.Errorf("%s refuses a good disk: %v", p.name, l.err)
		}
		wiped = true
	default:
		w.tb.Errorf("%s gave up: %v", p.name, l.err)
		return
	}
	time.Sleep(time.Second)
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.now.Load() != l || l.ending.Load() {
		return
	}
	p.disk = l.fs
	if wiped {
		p.disk = vfs.NewCrashableMem()
	}
	p.start()
}

// run is the main of a process.
func (l *life) run(ctx context.Context) error {
	for {
		run, err := l.build() //nolint:contextcheck // The mailer's client lives until its Run ends, not its New.
		if err == nil {
			return run(ctx)
		}
		if !errors.Is(err, schemas.ErrRegistryDown) {
			return err
		}
		l.p.w.hit("start without the registry")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// build makes what runs.
func (l *life) build() (func(context.Context) error, error) {
	w := l.p.w
	ids, err := w.registry.ids()
	if err != nil {
		return nil, err
	}
	client := append(w.clientOptions(), kgo.Dialer(l.link.dial))
	switch service(l.p.name) {
	case "view":
		o := processors.ViewOptions{Client: client, IDs: ids, Dir: "view", FS: l.fs, Logger: w.logger(l.p.name)}
		o.Sabotage(w.sabotage)
		v, err := processors.NewCustomerView(o)
		if err != nil {
			return nil, err
		}
		l.view.Store(v)
		return v.Run, nil
	case "mailer":
		m, err := parts.Mailer{
			Client: append(client, kgo.SessionTimeout(sessionTimeout), kgo.RebalanceTimeout(rebalanceTimeout)),
			IDs:    ids, Logger: w.logger(l.p.name), Instance: l.p.name, Send: l.send,
		}.New()
		if err != nil {
			return nil, err
		}
		return m.Run, nil
	}
	o := processors.Options{IDs: ids, Engine: l.engine(client)}
	o.Sabotage(w.sabotage)
	makers := map[string]func(processors.Options) (*eos.Processor, error){
		"customer": processors.NewCustomer, "billing": processors.NewBilling, "mail": processors.NewMail, "notification": processors.NewNotification,
	}
	p, err := makers[service(l.p.name)](o)
	if err != nil {
		return nil, err
	}
	l.proc.Store(p)
	return p.Run, nil
}

func (l *life) engine(client []kgo.Opt) eos.Config {
	w := l.p.w
	c := eos.Config{
		Client: client, Dir: "state", FS: l.fs, Instance: l.p.name, Dev: true, Logger: w.logger(l.p.name),
		SessionTimeout: sessionTimeout, TransactionTimeout: transactionTimeout,
		Now: func() time.Time { return time.Now().Add(time.Duration(l.p.skew.Load())) },
		Hooks: eos.Hooks{
			At:        l.at,
			Committed: func(time.Duration, int) { w.hit("commits") },
			Aborted:   func(reason string) { l.open.Store(false); w.hit("aborted " + reason); w.hit("aborts") },
			Recovered: func(time.Duration, int) { w.hit("generations") },
			Fired:     func(string) { w.hit("deadlines") },
			Stopped: func(string, int32) {
				w.tb.Errorf("%s gave a partition up: records that were promised are gone", l.p.name)
			},
		},
	}
	// The fake broker miscounts who has joined when a static member is replaced while it waits in SyncGroup; only this timeout ends that.
	c.RebalanceWithin(rebalanceTimeout)
	return c
}

// send is the mail server: now and then it is away, and some recipients it does not know.
func (l *life) send(ctx context.Context, mailID string) string {
	l.link.goOn()
	switch n := hash(mailID) % 20; {
	case n == 0:
		return "smtp_550"
	case n == 1 && time.Now().UnixMilli()%3 == 0:
		return "connect"
	}
	select {
	case <-ctx.Done():
		return "timeout"
	case <-time.After(20 * time.Millisecond):
		l.p.w.hit("mails")
		return ""
	}
}

// at is called at the points of a transaction.
func (l *life) at(point string) {
	l.link.goOn()
	switch point {
	case "begin":
		l.open.Store(true)
	case "end_answered":
		l.open.Store(false)
	}
	l.mu.Lock()
	hit := l.point == point
	if hit {
		l.left--
		hit = l.left <= 0
	}
	l.mu.Unlock()
	if hit {
		l.die()
	}
}

// die is SIGKILL: the cluster hears nothing more, and the disk keeps what it has. What the process still does in memory is nobody's business.
func (l *life) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.after != nil {
		return
	}
	l.ending.Store(true)
	l.link.die()
	if l.open.Load() {
		l.p.w.hit("open at the kill")
	}
	l.after = l.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: l.spare, RNG: rand.New(rand.NewPCG(l.p.w.seed, uint64(time.Now().UnixNano())))}) //nolint:gosec // Any number.
	close(l.died)
}

// killAt waits until the life has ended at a point, or for a while, and returns the disk that it leaves. The caller has the turn.
func (l *life) killAt(point string, times, spare int) {
	l.mu.Lock()
	l.point, l.left, l.spare = point, times, spare
	l.mu.Unlock()
	where := "killed at " + point
	if point != "" {
		select {
		case <-l.died:
		case <-l.done:
			if !l.ending.Load() {
				return // it was faster
			}
		case <-time.After(15 * time.Second):
			where = "killed at random"
		}
	} else {
		where = "killed at random"
	}
	l.die()
	l.p.w.hit(where)
	l.p.w.hit("killed")
	l.p.disk = l.after
	l.cancel()
}

// stop is SIGTERM. The caller has the turn.
func (l *life) stop() {
	select {
	case <-l.done:
		return // already down, or the watcher's business
	default:
	}
	l.ending.Store(true)
	l.link.release()
	began := time.Now()
	l.cancel()
	<-l.done
	l.p.disk = l.fs
	damaged := errors.Is(l.err, eos.ErrStateDamaged) && l.p.w.met("disk damaged") > 0
	if l.err != nil && !damaged && !errors.Is(l.err, eos.ErrFenced) && !errors.Is(l.err, parts.ErrMailerFenced) && !errors.Is(l.err, eos.ErrStateCorrupt) {
		l.p.w.tb.Errorf("%s was stopped and says: %v", l.p.name, l.err)
	}
	if took := time.Since(began); took > 10*time.Second {
		l.p.w.tb.Errorf("%s took %v to stop", l.p.name, took)
	}
}

// end is the end of the test.
func (p *place) end() {
	p.turn.Lock()
	defer p.turn.Unlock()
	p.gone = true
	l := p.now.Load()
	if l.cancel == nil {
		return
	}
	l.ending.Store(true)
	l.link.die()
	l.cancel()
	<-l.done
}

// isReady says whether the instance is in its group and has caught up.
func (p *place) isReady() bool {
	l := p.now.Load()
	select {
	case <-l.done:
		return false
	default:
	}
	switch {
	case l.proc.Load() != nil:
		return l.proc.Load().Ready()
	case l.view.Load() != nil:
		return l.view.Load().Ready()
	}
	return service(p.name) == "mailer"
}

func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range []byte(s) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
