package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// hangingAfter is well beyond the engine's transaction timeout of 10 s and the
// broker's clean-up interval: the broker should have aborted by then.
const hangingAfter = time.Minute

// transactions looks for open transactions that nobody will end. Everything
// behind the first record of one is invisible to readers of committed records.
func (d *Doctor) transactions(ctx context.Context) error {
	held, err := d.heldBack(ctx)
	if err != nil {
		return err
	}
	if len(held) == 0 {
		d.add("transactions", OK, "none is open", "")
		return nil
	}
	producers, err := d.adm.DescribeProducers(ctx, held)
	if err != nil {
		return err
	}
	names, err := d.transactionalIDs(ctx)
	if err != nil {
		return err
	}
	hanging := 0
	for _, p := range producers.SortedProducers() {
		if p.CurrentTxnStartOffset < 0 {
			continue
		}
		since := d.Now().Sub(time.UnixMilli(p.LastTimestamp))
		if since < hangingAfter {
			continue
		}
		hanging++
		who := names[p.ProducerID]
		do := fmt.Sprintf("kafka-transactions.sh abort --topic %s --partition %d --start-offset %d", p.Topic, p.Partition, p.CurrentTxnStartOffset)
		if who != "" {
			who = " of " + who
			do = "start an instance with that id, which ends it; else " + do
		}
		d.add("transactions", Fail, fmt.Sprintf("%s/%d: a transaction%s (producer %d) is open since offset %d and wrote nothing for %s; readers wait behind it",
			p.Topic, p.Partition, who, p.ProducerID, p.CurrentTxnStartOffset, since.Round(time.Second)), do)
	}
	if hanging == 0 {
		d.add("transactions", OK, fmt.Sprintf("open in %d partition(s), none for longer than %s", countPartitions(held), hangingAfter), "")
	}
	return nil
}

func countPartitions(s kadm.TopicsSet) int {
	n := 0
	s.Each(func(string, int32) { n++ })
	return n
}

// heldBack returns the partitions of our topics whose last stable offset is
// behind their end.
func (d *Doctor) heldBack(ctx context.Context) (kadm.TopicsSet, error) {
	var names []string
	for _, t := range topics.All() {
		names = append(names, t.Name)
	}
	stable, err := d.adm.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := d.adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	held := kadm.TopicsSet{}
	ends.Each(func(o kadm.ListedOffset) {
		if s, ok := stable.Lookup(o.Topic, o.Partition); ok && s.Err == nil && o.Err == nil && s.Offset < o.Offset {
			held.Add(o.Topic, o.Partition)
		}
	})
	return held, nil
}

// transactionalIDs maps producer ids to the transactional ids that use them.
func (d *Doctor) transactionalIDs(ctx context.Context) (map[int64]string, error) {
	described, err := d.adm.DescribeTransactions(ctx)
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, t := range described {
		names[t.ProducerID] = t.TxnID
	}
	return names, nil
}

// lag asks each group how far it is behind, and whether its oldest unhandled
// record will be deleted before it is handled.
func (d *Doctor) lag(ctx context.Context) error {
	described, err := d.adm.DescribeGroups(ctx, topics.Groups()...)
	if err != nil {
		return err
	}
	for _, group := range topics.Groups() {
		offsets, err := Offsets(ctx, d.adm, group)
		if errors.Is(err, ErrTopicsMissing) {
			d.add("lag", Unknown, err.Error(), "")
			continue
		}
		if err != nil {
			return err
		}
		members := len(described[group].Members)
		if err := d.groupLag(ctx, group, members, offsets); err != nil {
			return err
		}
		if group == topics.Mailer || group == topics.WebhookSender {
			continue // it has no rows
		}
		if err := d.lostOffsets(ctx, group, offsets); err != nil {
			return err
		}
	}
	return nil
}

// binaryOf names the service that runs a group.
func binaryOf(group string) string {
	if group == topics.Mailer {
		return topics.Mail
	}
	if group == topics.WebhookSender {
		return topics.Webhook
	}
	return group
}

func (d *Doctor) groupLag(ctx context.Context, group string, members int, offsets []PartitionOffset) error {
	behind := map[string][]PartitionOffset{}
	var total int64
	for _, o := range offsets {
		if o.Lag > 0 {
			behind[o.Topic] = append(behind[o.Topic], o)
			total += o.Lag
		}
	}
	running := fmt.Sprintf("group %s: %d member(s)", group, members)
	switch {
	case members == 0 && total > 0:
		d.add("lag", Fail, fmt.Sprintf("group %s: %d record(s) wait and no instance runs", group, total), "start the "+binaryOf(group)+" service")
	case members == 0:
		d.add("lag", Warn, fmt.Sprintf("group %s: no instance runs; nothing waits", group), "start the "+binaryOf(group)+" service")
	case total == 0:
		d.add("lag", OK, running+", nothing waits", "")
	default:
		d.add("lag", OK, fmt.Sprintf("%s, %d record(s) wait", running, total), "")
	}
	for _, t := range topics.Inputs(group) {
		if len(behind[t.Name]) == 0 || t.Retention == 0 {
			continue
		}
		oldest, err := oldestRecord(ctx, d.Client, t.Name, behind[t.Name])
		if err != nil {
			return err
		}
		if oldest.IsZero() {
			continue
		}
		if waits := d.Now().Sub(oldest); waits > t.Retention/2 {
			d.add("lag", Fail, fmt.Sprintf("group %s: the oldest record of %s waits %s of the %s that it is kept", group, t.Name, waits.Round(time.Second), age(t.Retention)),
				"let the group catch up, or raise retention.ms of the topic, before commands are lost")
		}
	}
	return nil
}

// lostOffsets finds what makes a processor refuse to start: a changelog with
// rows but no committed offsets, which Kafka forgets after 7 idle days.
func (d *Doctor) lostOffsets(ctx context.Context, group string, offsets []PartitionOffset) error {
	table := group + "-table"
	starts, err := d.adm.ListStartOffsets(ctx, table)
	if err != nil {
		return err
	}
	ends, err := d.adm.ListEndOffsets(ctx, table)
	if err != nil {
		return err
	}
	// An input that never had a record has no commit either: a partition is lost
	// only if no input of the group has one.
	committed := map[int32]bool{}
	for _, o := range offsets {
		committed[o.Partition] = committed[o.Partition] || o.Committed >= 0
	}
	var lost []string
	for _, p := range slices.Sorted(maps.Keys(committed)) {
		end, ok := ends.Lookup(table, p)
		start, _ := starts.Lookup(table, p)
		if !committed[p] && ok && end.Err == nil && end.Offset > start.Offset {
			lost = append(lost, strconv.Itoa(int(p)))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	d.add("lag", Fail, fmt.Sprintf("group %s has rows but no committed offset in partition %s", group, strings.Join(lost, ", ")),
		fmt.Sprintf("utopia offsets set %s --to start: handled ids remove the duplicates of their window", group))
	return nil
}

// oldestRecord returns the broker time of the oldest record that a group has not
// handled in the given partitions, zero if none can be read.
func oldestRecord(ctx context.Context, opts []kgo.Opt, topic string, behind []PartitionOffset) (time.Time, error) {
	var oldest time.Time
	for _, o := range behind {
		err := Scan(ctx, opts, Range{Topic: topic, Partition: o.Partition, From: max(o.Committed, o.Start)}, func(rec *kgo.Record) error {
			if oldest.IsZero() || rec.Timestamp.Before(oldest) {
				oldest = rec.Timestamp
			}
			return Stop()
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	return oldest, nil
}
