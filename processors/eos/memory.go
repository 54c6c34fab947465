package eos

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	if json.Unmarshal(raw, &last) != nil || last.Cluster != p.facts.cluster {
		return
	}
	for _, name := range p.keyed() {
		before, known := last.Topics[name]
		now, exists := p.facts.topics[name]
		switch {
		case !known || !exists:
		case before.Partitions != now.partitions:
			refuse("topic %s had %d partitions when this instance last ran and has %d: a partition count is never changed in place, because keys would lose their rows; make a new topic, or restore the count",
				name, before.Partitions, now.partitions)
		case before.ID != hex.EncodeToString(now.id[:]):
			refuse("topic %s was deleted and made again since this instance last ran: what it held is gone, and the group's table and offsets speak of the old one; if that was intended, reset both (\"utopia state reset\", \"utopia offsets set\")",
				name)
		}
	}
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
	if err := writeFile(p.dir.fs, p.dir.dir, memoryFile, raw); err != nil {
		return fmt.Errorf("remember the topics: %w", err)
	}
	return nil
}

// keyed lists the topics in which a key has its partition: the inputs and the table.
func (p *Processor) keyed() []string {
	if p.tableTopic == "" {
		return p.inputs
	}
	return append(p.inputs[:len(p.inputs):len(p.inputs)], p.tableTopic)
}
