package eos

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

var verbose = flag.Bool("log", false, "write the engine's log to standard error")

// The test subject counts: a command is an id, the row of its key is how many there were, and an event says "id n".
const (
	commands  = "counter.commands.v1"
	events    = "counter.events.v1"
	letters   = "counter.commands.v1.dlq"
	tableName = "counter-table"
	groupName = "counter"
)

// world is a cluster with the counter's topics, and what talks to it.
type world struct {
	tb         testing.TB
	rng        *dice
	cluster    *kfake.Cluster
	virtual    *kfake.VirtualNetwork // nil: the loopback interface
	partitions int32
	client     *kgo.Client // plain, for producing and checking
	adm        *kadm.Client
	think      func() // what a callback does first; may be nil

	log  ring // the last lines of the engine's log
	mu   sync.Mutex
	all  []*instance
	hits map[string]int // faults that were really met
}

// dice is a source of randomness for several goroutines.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newDice(seed, stream uint64) *dice { return &dice{rng: rand.New(rand.NewPCG(seed, stream))} }

// IntN returns a number of [0, n).
func (d *dice) IntN(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

// Uint64 returns any number.
func (d *dice) Uint64() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Uint64()
}

// ring keeps the last lines written to it.
type ring struct {
	mu    sync.Mutex
	lines []string
}

// Write implements io.Writer.
func (r *ring) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines = append(r.lines, string(b)); len(r.lines) > 100 {
		r.lines = r.lines[50:]
	}
	return len(b), nil
}

func (r *ring) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "")
}

type worldOption func(*worldConfig)

type worldConfig struct {
	virtual    *kfake.VirtualNetwork
	partitions int32
	brokers    int
	configs    map[string]map[string]string // by topic, over the defaults
	without    []string                     // topics that are not made
	counts     map[string]int32             // partition counts that differ
	kfake      []kfake.Opt
}

func onVirtualNetwork(n *kfake.VirtualNetwork) worldOption {
	return func(c *worldConfig) { c.virtual = n }
}
func withPartitions(n int32) worldOption { return func(c *worldConfig) { c.partitions = n } }
func withConfig(topic, key, value string) worldOption {
	return func(c *worldConfig) { c.configs[topic][key] = value }
}

func newWorld(tb testing.TB, seed uint64, opts ...worldOption) *world {
	tb.Helper()
	cfg := worldConfig{partitions: 4, brokers: 3, counts: make(map[string]int32), configs: map[string]map[string]string{
		commands:  {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"},
		events:    {"min.insync.replicas": "2"},
		letters:   {"min.insync.replicas": "2"},
		tableName: {"cleanup.policy": "compact", "min.insync.replicas": "2"},
	}}
	for _, o := range opts {
		o(&cfg)
	}
	w := &world{tb: tb, rng: newDice(seed, 7), virtual: cfg.virtual, partitions: cfg.partitions, hits: make(map[string]int)}
	kopts := append([]kfake.Opt{kfake.NumBrokers(cfg.brokers)}, cfg.kfake...)
	if cfg.virtual != nil {
		ports := make([]int, cfg.brokers)
		for i := range ports {
			ports[i] = 9092 + i
		}
		kopts = append(kopts, kfake.ListenFn(cfg.virtual.Listen), kfake.Ports(ports...))
	}
	var err error
	if w.cluster, err = kfake.NewCluster(kopts...); err != nil {
		tb.Fatal(err)
	}
	for topic, configs := range cfg.configs {
		if slices.Contains(cfg.without, topic) {
			continue
		}
		n := cfg.partitions
		if c := cfg.counts[topic]; c != 0 {
			n = c
		}
		if err := w.cluster.CreateTopic(topic, n, configs); err != nil {
			tb.Fatal(err)
		}
	}
	w.client = w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	w.adm = kadm.NewClient(w.client)
	return w
}

// close is not a cleanup: in a synctest bubble everything must have ended when the test function returns.
func (w *world) close() {
	if w.tb.Failed() {
		w.tb.Logf("log of the engine:\n%s", w.log.String())
	}
	w.client.Close()
	w.cluster.Close()
}

func (w *world) dialer() func(context.Context, string, string) (net.Conn, error) {
	if w.virtual != nil {
		return w.virtual.DialContext
	}
	return new(net.Dialer).DialContext
}

func (w *world) newClient(opts ...kgo.Opt) *kgo.Client {
	w.tb.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(w.dialer()), kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryBackoffFn(backoff),
	}, opts...)...)
	if err != nil {
		w.tb.Fatal(err)
	}
	return cl
}

func (w *world) hit(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[what]++
}

// record makes a command where it belongs.
func (w *world) record(key, id string) *kgo.Record {
	return &kgo.Record{Topic: commands, Partition: topics.Partition(key, w.partitions), Key: []byte(key), Value: []byte(id)}
}

func (w *world) produce(records ...*kgo.Record) {
	w.tb.Helper()
	if err := w.client.ProduceSync(w.tb.Context(), records...).FirstErr(); err != nil {
		w.tb.Fatal(err)
	}
}

// commandsFor makes n commands over some keys, and produces them.
func (w *world) commandsFor(prefix string, n, keys int) {
	w.tb.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = w.record("k"+strconv.Itoa(w.rng.IntN(keys)), prefix+strconv.Itoa(i))
	}
	w.produce(records...)
}

// bytesCodec passes bytes through.
type bytesCodec struct{}

func (bytesCodec) Encode(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not []byte", v)
	}
	return b, nil
}
func (bytesCodec) Decode(b []byte) (any, error) { return b, nil }

func count(row []byte) uint64 {
	if len(row) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(row)
}

// counterCallback is the counter. Commands that begin with "malformed" are dead letters found while handling.
func (w *world) counterCallback(dead func(goka.Context, string, string)) goka.ProcessCallback {
	return func(ctx goka.Context, msg any) {
		if w.think != nil {
			w.think()
		}
		id, _ := msg.([]byte)
		if strings.HasPrefix(string(id), "malformed") {
			dead(ctx, "malformed", "")
			return
		}
		row, _ := ctx.Value().([]byte)
		n := count(row) + 1
		ctx.SetValue(binary.BigEndian.AppendUint64(nil, n))
		ctx.Emit(events, ctx.Key(), []byte(fmt.Sprintf("%s %d", id, n)))
	}
}

// instance is one process of the counter.
type instance struct {
	w      *world
	name   string
	fs     *vfs.MemFS
	link   *link
	proc   *Processor
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, after done
}

// config is the counter's, to be changed by a test before it is started.
func (w *world) config(name string, fs *vfs.MemFS, l *link) Config {
	dead := func(ctx goka.Context, reason, detail string) { l.proc.DeadLetter(ctx, reason, detail) }
	logger := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	if *verbose {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With(slog.String("process", name))
	}
	return Config{
		Client: []kgo.Opt{kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(l.dial)},
		Graph: goka.DefineGroup(groupName,
			goka.Input(commands, bytesCodec{}, w.counterCallback(dead)),
			goka.Output(events, bytesCodec{}),
			goka.Persist(bytesCodec{})),
		FS: fs, Dir: "state", Instance: name,
		HeartbeatInterval: 3 * time.Second, // hours of virtual time hold fewer of them
		Inputs:            map[string]Input{commands: {DeadLetters: letters}},
		Logger:            logger,
		Hooks: Hooks{
			Aborted:   func(reason string) { w.hit("aborted " + reason) },
			Recovered: func(time.Duration, int) { w.hit("generation") },
		},
	}
}

// newInstance makes a process that has not started.
func (w *world) newInstance(name string, fs *vfs.MemFS, change ...func(*Config)) *instance {
	w.tb.Helper()
	if fs == nil {
		fs = vfs.NewCrashableMem()
	}
	l := &link{w: w, conns: make(map[net.Conn]struct{})}
	cfg := w.config(name, fs, l)
	for _, f := range change {
		f(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		w.tb.Fatal(err)
	}
	l.proc = p
	i := &instance{w: w, name: name, fs: fs, link: l, proc: p, done: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, i)
	return i
}

// reap ends what a test that gave up has left running.
func (w *world) reap() {
	w.mu.Lock()
	all := w.all
	w.mu.Unlock()
	for _, i := range all {
		if i.cancel != nil {
			i.link.cut()
			i.cancel()
			<-i.done
		}
	}
}

// start runs an instance.
func (w *world) start(name string, fs *vfs.MemFS, change ...func(*Config)) *instance {
	w.tb.Helper()
	i := w.newInstance(name, fs, change...)
	i.run()
	return i
}

// run starts an instance that was made by newInstance.
func (i *instance) run() {
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel = cancel
	go func() {
		defer close(i.done)
		i.err = i.proc.Run(ctx)
	}()
}

// stop ends an instance as SIGTERM would.
func (i *instance) stop() {
	i.w.tb.Helper()
	i.cancel()
	<-i.done
	if i.err != nil {
		i.w.tb.Errorf("instance %s: %v", i.name, i.err)
	}
}

// kill ends an instance as SIGKILL would: the cluster hears nothing more from it, and the disk keeps what it had. The file system for its successor is
// returned.
func (i *instance) kill() *vfs.MemFS {
	i.link.cut()
	fs := i.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(i.w.rng.Uint64(), 1))})
	i.cancel()
	<-i.done
	return fs
}

// link is an instance's network. It can be cut for good, and can lose or change answers.
type link struct {
	w    *world
	proc *Processor

	mu     sync.Mutex
	isCut  bool
	delay  time.Duration // of every answer
	conns  map[net.Conn]struct{}
	answer func(key int16, body []byte) bool // changes an answer; false loses it, with its connection
}

var errCut = errors.New("the network is cut")

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil, errCut
	}
	conn, err := l.w.dialer()(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.conns[conn] = struct{}{}
	return &answerConn{Conn: conn, l: l, keys: make(map[uint32]int16)}, nil
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for c := range l.conns {
		_ = c.Close()
	}
	l.conns = make(map[net.Conn]struct{})
}

func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

// onAnswer sets what happens to answers.
func (l *link) onAnswer(f func(key int16, body []byte) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = f
}

// answerConn shows whole answers, with the key of their request, to the link.
type answerConn struct {
	net.Conn
	l *link

	mu   sync.Mutex
	keys map[uint32]int16 // by correlation id
	rest []byte           // of the current answer
}

// Write notes requests: size, key, version, correlation id. The client writes each in one call.
func (c *answerConn) Write(b []byte) (int, error) {
	if len(b) >= 12 {
		c.mu.Lock()
		c.keys[binary.BigEndian.Uint32(b[8:])] = int16(binary.BigEndian.Uint16(b[4:]))
		c.mu.Unlock()
	}
	return c.Conn.Write(b)
}

func (c *answerConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		var size [4]byte
		if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
			return 0, err
		}
		frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
		copy(frame, size[:])
		if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
			return 0, err
		}
		c.mu.Lock()
		id := binary.BigEndian.Uint32(frame[4:])
		key, ok := c.keys[id]
		delete(c.keys, id)
		c.mu.Unlock()
		c.l.mu.Lock()
		answer, delay := c.l.answer, c.l.delay
		c.l.mu.Unlock()
		time.Sleep(delay)
		if ok && answer != nil && !answer(key, frame[8:]) {
			_ = c.Close()
			return 0, errCut
		}
		c.rest = frame
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// commit is commitAsOf now.
func (s *store) commit(changelogOffset int64) error { return s.commitAsOf(changelogOffset, time.Now()) }
