package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// decodeAll decodes every record; what cannot be decoded is a violation, except where anybody may write.
func (a *auditor) decodeAll(ctx context.Context) error {
	for topic, records := range a.log {
		if strings.HasSuffix(topic, ".dlq") {
			continue // as received
		}
		for _, r := range records {
			if r.raw == nil {
				continue
			}
			name, body, err := a.schemas.decode(ctx, r.raw)
			if errors.Is(err, errRegistry) {
				return err
			}
			if err != nil {
				if !open(topic) {
					a.blame(undecoded, r, "%s: %v", name, err)
				}
				continue
			}
			r.name, r.body = name, body
			a.count("decoded", 1)
			a.decodePersonal(ctx, r)
		}
	}
	return nil
}

// decodePersonal decodes the personal part of an event, which is a record in a field of bytes.
func (a *auditor) decodePersonal(ctx context.Context, r *record) {
	r.personal = fields{}
	part, ok := r.body["personal"].(fields)
	if !ok || text(part["data"]) == "" {
		return
	}
	_, data, err := a.schemas.decode(ctx, []byte(text(part["data"])))
	if err != nil {
		a.blame(undecoded, r, "the personal part: %v", err)
		return
	}
	r.personal = data
}

// open tells whether others than the system write a topic: what is in it may be anything.
func open(topic string) bool {
	return strings.HasSuffix(topic, ".commands.v1") || strings.HasPrefix(topic, "crm.")
}

// checkPlacement checks that every key is in the partition that Kafka's default partitioner gives it.
func (a *auditor) checkPlacement() {
	width := map[string]uint32{}
	for _, s := range a.spans {
		width[s.topic]++
	}
	for topic, records := range a.log {
		if strings.HasSuffix(topic, ".dlq") || open(topic) {
			continue // as received; a command in the wrong place has an outcome all the same
		}
		for _, r := range records {
			if topic == "webhook.positions.v1" { // webhook/partition
				if _, about, _ := strings.Cut(r.key, "/"); about != strconv.Itoa(int(r.partition)) {
					a.blame(placed, r, "it is about partition %s", about)
				}
				continue
			}
			if want := murmur2([]byte(r.key)) & 0x7fffffff % width[topic]; want != uint32(r.partition) { //nolint:gosec // partitions are not negative
				a.blame(placed, r, "the key belongs to partition %d", want)
			}
		}
	}
}

// murmur2 is the hash of org.apache.kafka.common.utils.Utils.murmur2.
func murmur2(data []byte) uint32 {
	const m, seed = 0x5bd1e995, 0x9747b28c
	h := seed ^ uint32(len(data)) //nolint:gosec // keys are short
	for len(data) >= 4 {
		k := binary.LittleEndian.Uint32(data) * m
		h = h*m ^ (k^k>>24)*m
		data = data[4:]
	}
	for i := len(data) - 1; i >= 0; i-- {
		h ^= uint32(data[i]) << (8 * i)
		if i == 0 {
			h *= m
		}
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

// checkVersions checks the numbers of every aggregate's records: events 1, 2, 3, … in one partition, and elsewhere never
// backwards.
func (a *auditor) checkVersions() {
	for _, s := range services() {
		last := map[string]*record{}
		for _, r := range a.log[s.events] {
			if r.body == nil {
				continue
			}
			before, want := last[r.key], int64(1)
			if before != nil {
				want = integer(before.body["version"]) + 1
				if before.partition != r.partition {
					a.blame(versions, r, "the key has events in partitions %d and %d", before.partition, r.partition)
				}
			}
			// A mail that was forgotten starts again.
			if before != nil && bare(before.name) == "MailForgotten" {
				want = 1
			}
			if got := integer(r.body["version"]); got != want {
				a.blame(versions, r, "event %d where %d is due", got, want)
			}
			if text(r.body[s.id]) != r.key {
				a.blame(versions, r, "the record is about another key")
			}
			last[r.key] = r
			a.count("events", 1)
		}
		a.checkRising(s.state, true)
		a.checkRising(s.table, false)
	}
}

// checkRising checks that versions rise; strictly where a record says that something has happened.
func (a *auditor) checkRising(topic string, strictly bool) {
	last := map[string]int64{}
	for _, r := range a.log[topic] {
		if r.body == nil { // a tombstone: the key may start again
			delete(last, r.key)
			continue
		}
		version := integer(r.body["version"])
		before, known := last[r.key]
		if known && (version < before || strictly && version == before) {
			a.blame(versions, r, "version %d after %d", version, before)
		}
		last[r.key] = version
	}
}

// text and integer read a field; what is not there is the zero value, as in the schemas' defaults.
func text(v any) string {
	s, _ := v.(string)
	return s
}

func integer(v any) int64 {
	n, _ := v.(int64)
	return n
}

// bare is a record's name without its namespace.
func bare(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
