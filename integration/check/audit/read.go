package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// record is one committed record.
type record struct {
	topic     string
	partition int32
	offset    int64
	key       string
	raw       []byte // nil: tombstone
	headers   map[string]string
	name      string         // of the Avro record; empty if raw could not be decoded
	body      map[string]any // normalised: see normal
	personal  map[string]any // of an event: its personal part, empty if it has none
}

// span is what is known of one partition.
type span struct {
	topic     string
	partition int32
	last      int64 // offset after the last record that is not a control record
	high      int64 // high-water mark
	stable    int64 // last stable offset
}

// load reads all topics of the system.
func (a *auditor) load(ctx context.Context) error {
	files, err := readSchemas(a.config.Schemas, a.config.Registry)
	if err != nil {
		return err
	}
	if a.config.HTTP != nil {
		files.http = a.config.HTTP
	}
	a.schemas = files
	client, err := a.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	details, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	var topics []string
	for _, name := range details.Names() {
		if strings.HasSuffix(name, ".v1") || strings.HasSuffix(name, "-table") || strings.HasSuffix(name, ".v1.dlq") {
			topics = append(topics, name)
		}
	}
	if len(topics) == 0 {
		return errors.New("the cluster has no topic of the system")
	}
	if err := a.readAll(ctx, admin, topics); err != nil {
		return err
	}
	if err := a.readCommits(ctx, admin); err != nil {
		return err
	}
	return a.decodeAll(ctx)
}

// readAll reads the topics up to their high-water marks: committed records are kept, aborted ones counted.
func (a *auditor) readAll(ctx context.Context, admin *kadm.Client, topics []string) error {
	highs, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = highs.Error()
	}
	if err != nil {
		return fmt.Errorf("list end offsets: %w", err)
	}
	stables, err := admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return fmt.Errorf("list stable offsets: %w", err)
	}
	a.log = map[string][]*record{}
	partitions := int64(0)
	highs.Each(func(high kadm.ListedOffset) {
		stable, _ := stables.Lookup(high.Topic, high.Partition)
		a.spans = append(a.spans, span{topic: high.Topic, partition: high.Partition, high: high.Offset, stable: stable.Offset})
		partitions++
	})
	a.report.Counted["partitions"] = partitions
	all, err := a.readLevel(ctx, kgo.ReadUncommitted(), func(s *span) int64 { return s.high })
	if err != nil {
		return err
	}
	committed, err := a.readLevel(ctx, kgo.ReadCommitted(), func(s *span) int64 { return s.stable })
	if err != nil {
		return err
	}
	for i := range a.spans {
		s := &a.spans[i]
		for _, r := range committed[i] {
			a.log[s.topic] = append(a.log[s.topic], r)
			s.last = r.offset + 1
		}
		open := 0 // records of transactions that are not decided
		for _, r := range all[i] {
			if r.offset >= s.stable {
				open++
			}
		}
		a.count("records", len(committed[i]))
		a.count("aborted records", len(all[i])-len(committed[i])-open)
	}
	return nil
}

// connect makes a client.
func (a *auditor) connect(opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(slices.Concat([]kgo.Opt{kgo.SeedBrokers(a.config.Brokers...)}, a.config.Client, opts)...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return client, nil
}

// readLevel returns the data records of every partition up to an offset, in the order of a.spans, as one isolation level shows them; control
// records are counted. A partition that is silent for five minutes is an error.
func (a *auditor) readLevel(ctx context.Context, level kgo.IsolationLevel, end func(*span) int64) ([][]*record, error) {
	out := make([][]*record, len(a.spans))
	index := map[string]map[int32]int{}
	from := map[string]map[int32]kgo.Offset{}
	left := 0
	for i := range a.spans {
		s := &a.spans[i]
		if end(s) == 0 {
			continue
		}
		if index[s.topic] == nil {
			index[s.topic], from[s.topic] = map[int32]int{}, map[int32]kgo.Offset{}
		}
		index[s.topic][s.partition], from[s.topic][s.partition] = i, kgo.NewOffset().AtStart()
		left++
	}
	if left == 0 {
		return out, nil
	}
	client, err := a.connect(kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(), kgo.ConsumePartitions(from))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	done := make([]bool, len(a.spans))
	for left > 0 {
		fetches, err := poll(ctx, client)
		if err != nil {
			return nil, fmt.Errorf("read %d partitions to their ends: %w", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			i := index[r.Topic][r.Partition]
			limit := end(&a.spans[i])
			switch {
			case r.Offset >= limit:
			case r.Attrs.IsControl():
				a.countMarker(level, r)
			default:
				out[i] = append(out[i], newRecord(r))
			}
			if r.Offset+1 >= limit && !done[i] {
				done[i] = true
				left--
			}
		})
	}
	return out, nil
}

// poll waits for records, but not for ever.
func poll(ctx context.Context, client *kgo.Client) (kgo.Fetches, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	fetches := client.PollFetches(ctx)
	return fetches, fetches.Err()
}

// countMarker counts the ends of transactions. A marker's key is version and type, both int16; type 0 is an abort.
func (a *auditor) countMarker(level kgo.IsolationLevel, r *kgo.Record) {
	if level != kgo.ReadUncommitted() || len(r.Key) < 4 {
		return
	}
	if binary.BigEndian.Uint16(r.Key[2:]) == 0 {
		a.count("abort markers", 1)
		return
	}
	a.count("commit markers", 1)
}

func newRecord(r *kgo.Record) *record {
	out := &record{topic: r.Topic, partition: r.Partition, offset: r.Offset, key: string(r.Key), raw: r.Value, headers: map[string]string{}}
	for _, h := range r.Headers {
		out.headers[h.Key] = string(h.Value)
	}
	return out
}

// readCommits reads how far each group has come.
func (a *auditor) readCommits(ctx context.Context, admin *kadm.Client) error {
	a.commits = map[string]map[string]map[int32]int64{}
	for _, s := range services() {
		offsets, err := admin.FetchOffsets(ctx, s.name)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // one that is not deployed has none
			return fmt.Errorf("fetch the offsets of group %s: %w", s.name, err)
		}
		for topic, partitions := range offsets {
			for partition, o := range partitions {
				if o.At < 0 {
					continue
				}
				if a.commits[s.name] == nil {
					a.commits[s.name] = map[string]map[int32]int64{}
				}
				if a.commits[s.name][topic] == nil {
					a.commits[s.name][topic] = map[int32]int64{}
				}
				a.commits[s.name][topic][partition] = o.At
			}
		}
	}
	return nil
}
