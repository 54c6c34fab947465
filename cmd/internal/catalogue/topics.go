// Package catalogue shows topics and schemas to people and programs: what package topics and the embedded schemas say, as the API,
// the pages and the command line answer it. How much is in a topic now it is told; it knows no broker.
package catalogue

import (
	"fmt"
	"slices"
	"time"

	"utopia/topics"
)

// Topic is a topic of the catalogue.
type Topic struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind" doc:"What it carries, by the grammar of its name"`
	Pattern   string   `json:"pattern" doc:"The messaging pattern of the kind"`
	Audience  string   `json:"audience" doc:"For whom it is made: private is its owner's alone, public is a promise to everybody"`
	Owner     string   `json:"owner" doc:"The service that decides what its records mean"`
	Writers   []string `json:"writers" nullable:"false" doc:"Who may write"`
	Readers   []string `json:"readers" nullable:"false" doc:"Who may read"`
	Key       string   `json:"key" doc:"What the key of a record is"`
	Cleanup   string   `json:"cleanup" enum:"delete,compact,keep" doc:"delete: after retention; compact: the last record of each key is kept; keep: for ever"`
	Retention string   `json:"retention,omitempty" example:"7d"`
	Timestamp string   `json:"timestamp" enum:"LogAppendTime,CreateTime" doc:"Whose clock: the broker's, or the writer's"`
	MaxBytes  int      `json:"maxBytes" doc:"The largest record"`
	Records   []string `json:"records" nullable:"false" doc:"The record types that it carries, by their schemas' names"`
	Doc       string   `json:"doc" doc:"What it is for"`
}

// TopicOf shows a topic.
func TopicOf(t topics.Topic) Topic {
	return Topic{
		Name: t.Name, Kind: string(t.Kind), Pattern: t.Kind.Pattern(), Audience: string(t.Audience), Owner: t.Owner,
		Writers: t.Writers, Readers: t.Readers, Key: t.Key, Cleanup: string(t.Cleanup), Retention: Days(t.Retention),
		Timestamp: string(t.Timestamp), MaxBytes: t.MaxBytes, Records: t.Records, Doc: t.Doc,
	}
}

// Days writes a retention as people say it; nothing for none.
func Days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	default:
		return d.String()
	}
}

// Count is what a cluster has of one topic, all partitions together.
type Count struct {
	Partitions int
	Start, End int64 // sums of offsets: of the oldest that is kept, and behind the newest that is committed
}

// Live tells how much is in a topic, as of lately; false while that is not known.
type Live interface {
	Count(topic string) (c Count, at time.Time, ok bool)
}

// Now is how much is in a topic. Offsets are more than records: the ends of transactions take some, and compaction leaves gaps.
type Now struct {
	Partitions int    `json:"partitions"`
	Offsets    int64  `json:"offsets" doc:"From the oldest record that is kept to the newest that is committed: at most so many records, because ends of transactions are counted, too"`
	End        int64  `json:"end" doc:"How many offsets were ever given out"`
	DeadOf     *int64 `json:"deadLetters,omitempty" doc:"Offsets of its dead-letter topic: at most so many dead letters. None if no processor reads it, or while it is not known"`
	At         string `json:"at" doc:"When the cluster said so"`
}

// TopicNow is a topic with what is in it.
type TopicNow struct {
	Topic
	DeadLetters string `json:"deadLetterTopic,omitempty" doc:"Where records go that no code can handle"`
	Now         *Now   `json:"now,omitempty" doc:"None while the cluster does not answer"`
}

// Topics returns every topic of the catalogue, in its order.
func Topics(live Live) []TopicNow {
	all := []TopicNow{}
	for _, t := range topics.All() {
		all = append(all, topicNow(t, live))
	}
	return all
}

// TopicByName returns a topic of the catalogue.
func TopicByName(name string, live Live) (TopicNow, bool) {
	t, ok := topics.ByName(name)
	if !ok {
		return TopicNow{}, false
	}
	return topicNow(t, live), true
}

func topicNow(t topics.Topic, live Live) TopicNow {
	out := TopicNow{Topic: TopicOf(t)}
	if t.Input() {
		out.DeadLetters = t.DLQ().Name
	}
	if live == nil {
		return out
	}
	c, at, ok := live.Count(t.Name)
	if !ok {
		return out
	}
	out.Now = &Now{Partitions: c.Partitions, Offsets: c.End - c.Start, End: c.End, At: at.UTC().Format(time.RFC3339)}
	if dead, _, ok := live.Count(out.DeadLetters); ok {
		n := dead.End - dead.Start
		out.Now.DeadOf = &n
	}
	return out
}

// uses are the topics that carry a record type.
func uses(record string) []string {
	names := []string{}
	for _, t := range topics.All() {
		if slices.Contains(t.Records, record) {
			names = append(names, t.Name)
		}
	}
	return names
}
