package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// drop deletes topics, if they are there, and waits until the cluster has forgotten them.
func (b *broker) drop(ctx context.Context, names ...string) error {
	responses, err := b.admin.DeleteTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	for _, r := range responses {
		if r.Err != nil && !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("delete topic %s: %w", r.Topic, r.Err)
		}
	}
	return nil
}

// createAs makes a topic as the catalogue says, under another name, and waits until it is there.
func (b *broker) createAs(ctx context.Context, t topics.Topic, name string) error {
	if err := b.createCatalogueTopic(ctx, t, name); err != nil {
		return err
	}
	return b.known(ctx, name)
}

func (b *broker) createCatalogueTopic(ctx context.Context, t topics.Topic, name string) error {
	config := map[string]*string{}
	for key, value := range t.Config() {
		if key != "min.insync.replicas" { // one broker
			config[key] = &value
		}
	}
	for {
		_, err := b.admin.CreateTopic(ctx, b.partitions, 1, config, name)
		if err == nil {
			return nil
		}
		if !errors.Is(err, kerr.TopicAlreadyExists) || ctx.Err() != nil {
			return fmt.Errorf("create topic %s: %w", name, err)
		}
		time.Sleep(50 * time.Millisecond) // a deletion is under way
	}
}

// renew makes topics of the catalogue anew and empty.
func (b *broker) renew(ctx context.Context, all ...topics.Topic) error {
	for _, t := range all {
		if err := b.drop(ctx, t.Name); err != nil {
			return err
		}
	}
	for _, t := range all {
		if err := b.createCatalogueTopic(ctx, t, t.Name); err != nil {
			return err
		}
	}
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	return b.known(ctx, names...)
}

// known waits until the cluster tells leaders for the topics, so that nobody meets one that is half made.
func (b *broker) known(ctx context.Context, names ...string) error {
	for {
		ends, err := b.admin.ListEndOffsets(ctx, names...)
		if err == nil && ends.Error() == nil {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for topics: %w", errors.Join(err, ctx.Err()))
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.client.PurgeTopicsFromClient(names...) // what it knew of topics with these names
	return nil
}

// forget deletes groups, if they are there.
func (b *broker) forget(ctx context.Context, groups ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		responses, left := b.admin.DeleteGroups(ctx, groups...) // an error: the coordinator has only begun to live
		for _, r := range responses {
			if r.Err != nil && !errors.Is(r.Err, kerr.GroupIDNotFound) {
				left = errors.Join(left, fmt.Errorf("delete group %s: %w", r.Group, r.Err))
			}
		}
		if left == nil || ctx.Err() != nil {
			return left
		}
		time.Sleep(100 * time.Millisecond) // a member is still leaving
	}
}

// records is the sum of a topic's end offsets.
func (b *broker) records(ctx context.Context, topic string) (int64, error) {
	ends, err := b.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("list end offsets: %w", err)
	}
	var sum int64
	ends.Each(func(o kadm.ListedOffset) { sum += max(o.Offset, 0) })
	return sum, nil
}

// bytes is what topics take on the brokers' disks.
func (b *broker) bytes(ctx context.Context, names ...string) (map[string]int64, error) {
	dirs, err := b.admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("describe log directories: %w", err)
	}
	sizes := map[string]int64{}
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) { sizes[p.Topic] += p.Size })
	})
	out := map[string]int64{}
	for _, name := range names {
		out[name] = sizes[name]
	}
	return out, nil
}

// tally counts and hashes the committed records of topics.
func (b *broker) tally(ctx context.Context, names ...string) (map[string]expected, map[string]int64, error) {
	got, size := map[string]expected{}, map[string]int64{}
	for _, name := range names {
		var e expected
		var n int64
		err := b.committed(ctx, name, func(r *kgo.Record) error {
			e.add(r.Key, r.Value)
			n += int64(len(r.Value))
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		got[name], size[name] = e, n
	}
	return got, size, nil
}
