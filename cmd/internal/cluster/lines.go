package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// alike are changes that say the same of several topics.
type alike struct {
	Change
	topics []string
}

// grouped puts changes that differ in nothing but the topic together, in the
// order of the first of each: a cluster of another size is one thing to say, not
// one per topic.
func (p Plan) grouped() []alike {
	return group(p.Changes, func(a, b Change) bool { return a.Action == b.Action && slices.Equal(a.Differences, b.Differences) })
}

// missing puts all topics that do not exist into one group, whatever they will be like.
func (p Plan) missing() []alike {
	return group(p.Changes, func(a, b Change) bool {
		return a.Action == b.Action && (a.Action == Create || slices.Equal(a.Differences, b.Differences))
	})
}

func group(changes []Change, same func(a, b Change) bool) []alike {
	var out []alike
	for _, c := range changes {
		i := slices.IndexFunc(out, func(a alike) bool { return same(a.Change, c) })
		if i < 0 {
			out, i = append(out, alike{Change: c}), len(out)
		}
		out[i].topics = append(out[i].topics, c.Topic)
	}
	return out
}

// all tells whether these are all topics that were compared, which goes without
// their names.
func (p Plan) all(topics []string) bool { return len(topics) > 2 && len(topics) == p.topicCount() }

// topicCount is how many topics were compared.
func (p Plan) topicCount() int {
	seen := map[string]bool{}
	for _, c := range p.Changes {
		seen[c.Topic] = true
	}
	return p.AsIs + len(seen)
}

// Lines writes the plan like a diff: '+' is added by apply, '-' is replaced, '!'
// is a difference that apply does not touch, with the reason.
func (p Plan) Lines() []string {
	var out []string
	for _, g := range p.grouped() {
		sign := map[Action]string{Create: "+", Alter: "~", Fixed: "!"}[g.Action]
		if p.all(g.topics) {
			out = append(out, fmt.Sprintf("%s all %d topics", sign, len(g.topics)))
		} else {
			for _, name := range g.topics {
				out = append(out, sign+" topic "+name)
			}
		}
		for _, d := range g.Differences {
			switch {
			case g.Action == Fixed:
				out = append(out, fmt.Sprintf("!     %s, wanted %s: %s", setting(d.Setting, d.Have), d.Want, reason(d.Setting)))
				continue
			case g.Action == Alter && d.Have != "":
				out = append(out, "-     "+setting(d.Setting, d.Have))
			}
			out = append(out, "+     "+setting(d.Setting, d.Want))
		}
	}
	out = append(out, p.summary())
	if hint := p.hint(); hint != "" {
		out = append(out, hint)
	}
	return out
}

// hint says how to tell a cluster of another size, where all topics agree about
// it, from one that somebody has changed.
func (p Plan) hint() string {
	s, ok := p.Found()
	if !ok || p.Count(Fixed) == 0 {
		return ""
	}
	return "if this cluster is meant to be so, say: " + s.Flags()
}

// Flags writes sizes as the command line takes them.
func (s Sizes) Flags() string {
	return fmt.Sprintf("--partitions %d --replicas %d --min-in-sync %d", s.Partitions, s.Replication, s.MinInSync)
}

func setting(name, value string) string {
	return strings.TrimRight(fmt.Sprintf("%-24s %s", name, spell(name, value)), " ")
}

// spell adds a duration that people can read to milliseconds.
func spell(name, value string) string {
	ms, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || !strings.HasSuffix(name, ".ms"):
		return value
	case ms < 0:
		return value + " (for ever)"
	default:
		return fmt.Sprintf("%s (%s)", value, age(time.Duration(ms)*time.Millisecond))
	}
}

// age writes a duration in the largest unit that fits whole.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%d d", d/day)
	}
	return d.Round(time.Millisecond).String()
}

func reason(setting string) string {
	if setting == partitionsSetting {
		return "never changed in place, because keys would leave the partitions where their state is"
	}
	return "move replicas with kafka-reassign-partitions.sh"
}

func (p Plan) summary() string {
	if !p.Drifted() {
		return fmt.Sprintf("%d topics as wanted, nothing to do", p.AsIs)
	}
	return fmt.Sprintf("%d to create, %d to alter, %d that apply does not touch; %d as wanted",
		p.Count(Create), p.Count(Alter), p.Count(Fixed), p.AsIs)
}
