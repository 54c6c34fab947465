package cluster

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"utopia/processors/kafkaclient"
	"utopia/topics"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warn    Level = "warn"    // works, but slower or less safely than it could
	Fail    Level = "fail"    // does not work, or will lose something
	Unknown Level = "unknown" // the cluster does not tell
)

// Finding is the answer to one question of the doctor.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Result string `json:"result"`
	Do     string `json:"do,omitempty"` // what to do about it
}

// Failed tells whether a finding must be dealt with.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Fail {
			return true
		}
	}
	return false
}

// Doctor asks the cluster everything that decides whether the system works on
// it.
type Doctor struct {
	Client []kgo.Opt
	Sizes  Sizes
	Dev    bool // an unreplicated cluster is a warning
	// AsFound takes the sizes that all topics have in common for those that are wanted.
	AsFound bool
	Now     func() time.Time

	adm      *kadm.Client
	findings []Finding
}

// Examine returns all findings, in the order of the questions. The error is for
// a cluster that does not answer at all.
func (d *Doctor) Examine(ctx context.Context) ([]Finding, error) {
	cl, err := kafkaclient.New(ctx, d.Client...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	d.adm, d.findings = kadm.NewClient(cl.Client), nil
	meta, err := d.adm.BrokerMetadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("no broker answers: %w", err)
	}
	d.brokers(meta)
	for _, ask := range []struct {
		check string
		ask   func(context.Context) error
	}{
		{"versions", d.versions},
		{"topics", d.topics},
		{"clocks", d.clocks},
		{"broker settings", func(ctx context.Context) error { return d.settings(ctx, meta) }},
		{"internal topics", d.internalTopics},
		{"transactions", d.transactions},
		{"lag", d.lag},
		{"dead letters", d.deadLetters},
	} {
		if err := ask.ask(ctx); err != nil {
			if ctx.Err() != nil {
				return d.findings, fmt.Errorf("%s: %w", ask.check, err)
			}
			d.add(ask.check, Fail, err.Error(), "see whether this principal may ask, and whether all brokers run")
		}
	}
	return d.findings, nil
}

func (d *Doctor) add(check string, l Level, result, do string) {
	d.findings = append(d.findings, Finding{Check: check, Level: l, Result: result, Do: do})
}

func (d *Doctor) brokers(meta kadm.Metadata) {
	var names []string
	for _, b := range meta.Brokers {
		names = append(names, fmt.Sprintf("%d at %s:%d", b.NodeID, b.Host, b.Port))
	}
	result := fmt.Sprintf("%d in cluster %s: %s", len(names), meta.Cluster, strings.Join(names, ", "))
	switch {
	case len(names) >= int(d.Sizes.Replication):
		d.add("brokers", OK, result, "")
	case d.Dev:
		d.add("brokers", Warn, result+"; no replica survives a lost disk", "for development only")
	default:
		d.add("brokers", Fail, result, fmt.Sprintf("run %d brokers, or say --dev for a development cluster", d.Sizes.Replication))
	}
}

// transactionsV2 is the version of EndTxn that raises the producer's epoch with
// each transaction (KIP-890): a late request of an earlier transaction can then
// not end a later one.
const transactionsV2 = 5

func (d *Doctor) versions(ctx context.Context) error {
	versions, err := d.adm.ApiVersions(ctx)
	if err != nil {
		return err
	}
	for _, v := range versions.Sorted() {
		if v.Err != nil {
			d.add("versions", Fail, fmt.Sprintf("broker %d does not answer: %v", v.NodeID, v.Err), "start it, or see why it cannot be reached from here")
			continue
		}
		name := fmt.Sprintf("broker %d speaks like Kafka %s", v.NodeID, v.VersionGuess())
		_, endTxn, known := v.KeyVersions(int16(kmsg.EndTxn))
		switch {
		case !known:
			d.add("versions", Fail, name+" and knows no transactions", "use Kafka 2.5 or later")
		case endTxn < transactionsV2:
			d.add("versions", Warn, name+" without transaction version 2 (KIP-890)",
				"use Kafka 4.0 or later: before, a delayed answer could end a later transaction")
		default:
			d.add("versions", OK, name+", transaction version 2", "")
		}
	}
	return nil
}

func (d *Doctor) topics(ctx context.Context) error {
	plan, err := Compare(ctx, d.adm, topics.All(), d.Sizes)
	if err != nil {
		return err
	}
	as := "the catalogue has them"
	if found, ok := plan.Found(); ok && d.AsFound {
		if plan, err = Compare(ctx, d.adm, topics.All(), found); err != nil {
			return err
		}
		as = fmt.Sprintf("the catalogue has them, with %d partitions and %d replica(s)", found.Partitions, found.Replication)
	}
	if !plan.Drifted() {
		d.add("topics", OK, fmt.Sprintf("all %d as %s", plan.AsIs, as), "")
		return nil
	}
	for _, g := range plan.missing() {
		level, do := Fail, "utopia topics apply"
		if g.Action == Fixed {
			do = "not changed in place: " + reason(g.Differences[0].Setting)
			if hint := plan.hint(); hint != "" {
				do = hint
			}
			if d.Dev && g.Differences[0].Setting == replicationSetting {
				level = Warn
			}
		}
		d.add("topics", level, finding(plan, g), do)
	}
	return nil
}

// finding says in one line what is the matter with some topics.
func finding(p Plan, g alike) string {
	const most = 3
	names := strings.Join(g.topics[:min(most, len(g.topics))], ", ")
	switch n := len(g.topics); {
	case p.all(g.topics):
		names = fmt.Sprintf("all %d topics", n)
	case n > most:
		names += fmt.Sprintf(" and %d more", n-most)
	}
	if g.Action == Create {
		if len(g.topics) == 1 {
			return names + " does not exist"
		}
		return names + " do not exist"
	}
	var parts []string
	for _, diff := range g.Differences {
		parts = append(parts, fmt.Sprintf("%s is %s, not %s", diff.Setting, spell(diff.Setting, diff.Have), spell(diff.Setting, diff.Want)))
	}
	return names + ": " + strings.Join(parts, ", ")
}

// maxSkew is how far the newest record may be ahead of this machine's clock.
const maxSkew = time.Minute

// clocks compares the brokers' clocks, which decide about deadlines, with ours.
func (d *Doctor) clocks(ctx context.Context) error {
	var names []string
	for _, t := range topics.All() {
		if t.Input() {
			names = append(names, t.Name)
		}
	}
	newest, err := d.adm.ListMaxTimestampOffsets(ctx, names...)
	if err != nil {
		return err
	}
	var ahead time.Duration
	where := ""
	newest.Each(func(o kadm.ListedOffset) {
		if o.Err != nil || o.Timestamp <= 0 {
			return
		}
		if by := time.UnixMilli(o.Timestamp).Sub(d.Now()); by > ahead {
			ahead, where = by, fmt.Sprintf("%s/%d", o.Topic, o.Partition)
		}
	})
	if ahead > maxSkew {
		d.add("clocks", Fail, fmt.Sprintf("the newest record of %s is stamped %s ahead of this machine's clock", where, ahead.Round(time.Second)),
			"set the clocks: the brokers' decide when a deadline has passed")
		return nil
	}
	d.add("clocks", OK, "no record is stamped ahead of this machine's clock", "")
	return nil
}

// brokerSetting is one setting whose default costs latency or safety.
type brokerSetting struct {
	name string
	most int64
	why  string
	do   string
}

func brokerSettings() []brokerSetting {
	return []brokerSetting{
		{
			"add.partitions.to.txn.retry.backoff.ms", 5, "a new transaction waits that long for the markers of the previous one",
			"set it to 1: at 500 commands a second the default of 20 doubled the median latency",
		},
		{
			"transaction.abort.timed.out.transaction.cleanup.interval.ms", 2000, "an instance that is killed for good stalls readers that much longer",
			"set it to 1000",
		},
	}
}

func (d *Doctor) settings(ctx context.Context, meta kadm.Metadata) error {
	if len(meta.Brokers) == 0 {
		return nil
	}
	described, err := d.adm.DescribeBrokerConfigs(ctx, meta.Brokers[0].NodeID)
	if err != nil {
		return err
	}
	have := map[string]string{}
	for _, r := range described {
		if r.Err != nil {
			return fmt.Errorf("settings of broker %s: %w", r.Name, r.Err)
		}
		for _, c := range r.Configs {
			have[c.Key] = c.MaybeValue()
		}
	}
	for _, s := range brokerSettings() {
		n, err := strconv.ParseInt(have[s.name], 10, 64)
		switch {
		case err != nil:
			d.add("broker settings", Unknown, s.name+" is not reported", "")
		case n > s.most:
			d.add("broker settings", Warn, fmt.Sprintf("%s is %d: %s", s.name, n, s.why), s.do)
		default:
			d.add("broker settings", OK, fmt.Sprintf("%s is %d", s.name, n), "")
		}
	}
	return nil
}

// internalTopics looks at the topics that keep offsets and transactions: if they
// have one replica, a lost disk loses both, however well ours are replicated.
func (d *Doctor) internalTopics(ctx context.Context) error {
	details, err := d.adm.ListTopicsWithInternal(ctx, "__consumer_offsets", "__transaction_state")
	if err != nil {
		return err
	}
	for _, name := range []string{"__consumer_offsets", "__transaction_state"} {
		n := details[name].Partitions.NumReplicas()
		switch {
		case n == 0:
			d.add("internal topics", Unknown, name+" is not there yet; it is made with its first use", "")
		case n >= int(d.Sizes.Replication):
			d.add("internal topics", OK, fmt.Sprintf("%s has %d replicas", name, n), "")
		case d.Dev:
			d.add("internal topics", Warn, fmt.Sprintf("%s has %d replica(s)", name, n), "for development only")
		default:
			d.add("internal topics", Fail, fmt.Sprintf("%s has %d replica(s)", name, n),
				"offsets and transactions are as safe as this topic: give it "+strconv.Itoa(int(d.Sizes.Replication)))
		}
	}
	return nil
}

func (d *Doctor) deadLetters(ctx context.Context) error {
	var total int64
	var where []string
	for _, t := range topics.All() {
		if !t.Input() {
			continue
		}
		name := t.DLQ().Name
		starts, err := d.adm.ListStartOffsets(ctx, name)
		if err != nil {
			return err
		}
		ends, err := d.adm.ListCommittedOffsets(ctx, name)
		if err != nil {
			return err
		}
		var n int64
		ends.Each(func(o kadm.ListedOffset) {
			if s, ok := starts.Lookup(o.Topic, o.Partition); ok && o.Err == nil && s.Err == nil {
				n += o.Offset - s.Offset
			}
		})
		if n > 0 {
			total += n
			where = append(where, name)
		}
	}
	if total == 0 {
		d.add("dead letters", OK, "none", "")
		return nil
	}
	d.add("dead letters", Warn, "there are some in "+strings.Join(where, ", "), "utopia dlq list")
	return nil
}
