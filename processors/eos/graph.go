package eos

import (
	"slices"

	"github.com/lovoo/goka"
)

// inputTopics lists the streams that the group reads, the loop stream included, in order.
func inputTopics(g *goka.GroupGraph) []string {
	names := g.InputStreams().Topics()
	if loop := g.LoopStream(); loop != nil {
		names = append(names, loop.Topic())
	}
	slices.Sort(names)
	return names
}

// outputTopics lists what the group writes besides its table, dead letters included, in order and without repetition.
func outputTopics(g *goka.GroupGraph, inputs map[string]Input) []string {
	names := g.OutputStreams().Topics()
	for _, in := range inputs {
		names = append(names, in.DeadLetters)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// tableTopic is the group's changelog, empty for a stateless group.
func tableTopic(g *goka.GroupGraph) string {
	if t := g.GroupTable(); t != nil {
		return t.Topic()
	}
	return ""
}

// topicPartition names one partition of one topic.
type topicPartition struct {
	topic     string
	partition int32
}
