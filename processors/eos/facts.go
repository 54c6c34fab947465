package eos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// facts is what the cluster says about itself and the group's topics when the processor starts.
type facts struct {
	cluster    string
	topics     map[string]topicFacts // existing ones only
	partitions int32                 // of every input, and of the table
	versions   map[int16]int16       // highest version of a request that every broker knows, -1 if one does not know it
}

type topicFacts struct {
	id         [16]byte
	partitions int
	replicas   int // of the partition that has fewest
	config     map[string]string
}

// factRequests are the requests whose versions matter: transactions, offsets that wait for them, static members.
func factRequests() []kmsg.Key {
	return []kmsg.Key{
		kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.OffsetFetch, kmsg.JoinGroup, kmsg.LeaveGroup,
	}
}

// gather asks the cluster. An error means that it could not be asked, not that something is wrong with it.
func gather(ctx context.Context, adm *kadm.Client, names []string) (facts, error) {
	f := facts{topics: make(map[string]topicFacts), versions: make(map[int16]int16)}
	if err := f.gatherVersions(ctx, adm); err != nil {
		return f, err
	}
	meta, err := adm.Metadata(ctx, names...)
	if err != nil {
		return f, fmt.Errorf("list topics: %w", err)
	}
	f.cluster = meta.Cluster
	var existing []string
	for _, d := range meta.Topics {
		if errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if d.Err != nil {
			return f, fmt.Errorf("describe topic %s: %w", d.Topic, d.Err)
		}
		t := topicFacts{id: d.ID, partitions: len(d.Partitions), replicas: math.MaxInt, config: make(map[string]string)}
		for _, p := range d.Partitions {
			t.replicas = min(t.replicas, len(p.Replicas))
		}
		f.topics[d.Topic] = t
		existing = append(existing, d.Topic)
	}
	if len(existing) == 0 {
		return f, nil
	}
	configs, err := adm.DescribeTopicConfigs(ctx, existing...)
	if err != nil {
		return f, fmt.Errorf("describe the configuration of topics: %w", err)
	}
	for _, c := range configs {
		if c.Err != nil {
			return f, fmt.Errorf("describe the configuration of %s: %w", c.Name, c.Err)
		}
		for _, kv := range c.Configs {
			f.topics[c.Name].config[kv.Key] = kv.MaybeValue()
		}
	}
	return f, nil
}

func (f *facts) gatherVersions(ctx context.Context, adm *kadm.Client) error {
	brokers, err := adm.ApiVersions(ctx)
	if err != nil {
		return fmt.Errorf("ask the brokers for their versions: %w", err)
	}
	for _, b := range brokers {
		if b.Err != nil {
			continue // a broker that is down must not keep the processor from starting
		}
		for _, key := range factRequests() {
			highest, known := b.KeyMaxVersion(int16(key))
			if !known {
				highest = -1
			}
			if before, seen := f.versions[int16(key)]; seen {
				highest = min(highest, before)
			}
			f.versions[int16(key)] = highest
		}
	}
	if len(f.versions) == 0 {
		return errors.New("no broker answers")
	}
	return nil
}

// number returns a numeric setting, def if the cluster does not name it.
func (t topicFacts) number(setting string, def int) int {
	n, err := strconv.Atoi(t.config[setting])
	if err != nil {
		return def
	}
	return n
}

// retention is how long the topic keeps a record, 0 for ever.
func (t topicFacts) retention() time.Duration {
	if !strings.Contains(t.config["cleanup.policy"], "delete") {
		return 0
	}
	ms, err := strconv.ParseInt(t.config["retention.ms"], 10, 64)
	if err != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
