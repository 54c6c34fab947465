package eos

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// memoryFile keeps what this instance saw of its topics last. It is removed with the tables when the state is reset.
const memoryFile = tablePrefix + ".topics"

// memory is what an instance remembers of the cluster between its runs: a topic that was made again, or has more partitions than before, looks like any
// other to who sees it for the first time.
type memory struct {
	Cluster string                 `json:"cluster"`
	Topics  map[string]memoryTopic `json:"topics"`
}

type memoryTopic struct {
	ID         string `json:"id"`
	Partitions int    `json:"partitions"`
}

// judgeMemory compares the facts with those of the last run. Another cluster is not compared: its state is rebuilt.
func (p *Processor) judgeMemory(refuse func(string, ...any)) {
	raw, err := readFile(p.dir.fs, p.dir.fs.PathJoin(p.dir.dir, memoryFile))
	if err != nil {
		return
	}
	var last memory
	sum, body, _ := bytes.Cut(raw, []byte{' '})
	if string(sum) != checksum(body) { // damaged: better no memory than a wrong one
		return
	}
	if json.Unmarshal(body, &last) != nil || last.Cluster != p.facts.cluster {
		return
	}
	for _, name := range p.keyed() {
		before, known := last.Topics[name]
		now, exists := p.facts.topics[name]
		if !known || !exists {
			continue
		}
		if err := changed(name, before, memoryTopic{hex.EncodeToString(now.id[:]), now.partitions}, "this instance last ran"); err != nil {
			refuse("%w", err)
		}
	}
}

// changed says what is wrong with a topic that is no longer what it was, nil if it is.
func changed(name string, before, now memoryTopic, since string) error {
	switch {
	case before.Partitions != now.Partitions:
		return fmt.Errorf("topic %s had %d partitions when %s and has %d: a partition count is never changed in place, because keys would lose their rows; make a new topic, or restore the count",
			name, before.Partitions, since, now.Partitions)
	case before.ID != now.ID:
		return fmt.Errorf("topic %s was deleted and made again since %s: what it held is gone, and the group's table and offsets speak of the old one; if that was intended, reset both (\"utopia state reset\", \"utopia offsets set\")",
			name, since)
	}
	return nil
}

// goneAfter is how long a topic must be missing: a broker that has just started may not have heard of it yet. watchEvery is how often a running processor
// looks.
const (
	goneAfter  = 5 * time.Second
	watchEvery = 30 * time.Second
)

// watchTopics fails the processor when one of its topics is deleted, or made again under its name. The client says nothing: it waits for a topic that is
// gone, and for one that was made again under another id.
func (p *Processor) watchTopics(ctx context.Context) {
	for pause(ctx, watchEvery) == nil {
		asking, cancel := context.WithTimeout(ctx, watchEvery)
		now, err := p.adm.Metadata(asking, p.keyed()...)
		cancel()
		if err != nil {
			continue // a cluster that is away is the loop's matter
		}
		for _, name := range p.keyed() {
			if is := now.Topics[name]; errors.Is(is.Err, kerr.UnknownTopicOrPartition) || is.Err == nil && is.ID != p.facts.topics[name].id {
				if err := p.sameTopics(ctx); errors.Is(err, ErrRefused) {
					p.fail(err)
					return
				}
				break
			}
		}
	}
}

// sameTopics compares the topics with what they were when the processor started: an assignment must not go on with others. A client that runs never takes
// a topic that was made again for the old one, but the next client would.
func (p *Processor) sameTopics(ctx context.Context) error {
	var now kadm.Metadata
	missing := make(map[string]time.Time) // since when
	err := p.retry(ctx, "look at the topics", func(ctx context.Context) (err error) {
		if now, err = p.adm.Metadata(ctx, p.keyed()...); err != nil {
			return err
		}
		for _, name := range p.keyed() {
			if !errors.Is(now.Topics[name].Err, kerr.UnknownTopicOrPartition) {
				delete(missing, name)
			} else if since, ok := missing[name]; !ok {
				missing[name] = time.Now()
			} else if time.Since(since) >= goneAfter {
				return nil
			}
		}
		return now.Topics.Error()
	})
	if err != nil {
		return err
	}
	for _, name := range p.keyed() {
		was, is := p.facts.topics[name], now.Topics[name]
		if _, gone := missing[name]; gone {
			return fmt.Errorf("%w: topic %s was deleted since this process started: what it held is gone, and the group's offsets in it; make it again with \"utopia topics apply\", then decide what the group goes on from (\"utopia state reset\", \"utopia offsets set\")",
				ErrRefused, name)
		}
		err := changed(name, memoryTopic{hex.EncodeToString(was.id[:]), was.partitions}, memoryTopic{hex.EncodeToString(is.ID[:]), len(is.Partitions)},
			"this process started")
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	return nil
}

// remember keeps the facts for the next run.
func (p *Processor) remember() error {
	m := memory{Cluster: p.facts.cluster, Topics: make(map[string]memoryTopic)}
	for _, name := range p.keyed() {
		if t, ok := p.facts.topics[name]; ok {
			m.Topics[name] = memoryTopic{hex.EncodeToString(t.id[:]), t.partitions}
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("remember the topics: %w", err)
	}
	if err := writeFile(p.dir.fs, p.dir.dir, memoryFile, append([]byte(checksum(raw)+" "), raw...)); err != nil {
		return fmt.Errorf("remember the topics: %w", err)
	}
	return nil
}

// checksum finds flipped bits.
func checksum(b []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(b)) }

// keyed lists the topics in which a key has its partition: the inputs and the table.
func (p *Processor) keyed() []string {
	if p.tableTopic == "" {
		return p.inputs
	}
	return append(p.inputs[:len(p.inputs):len(p.inputs)], p.tableTopic)
}
