//go:build synctests

package eos

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// A record that the code which looks at it does not survive stops nobody: it is a dead letter, without what the panic quotes.
func TestAPanicInAdmission(t *testing.T) {
	a := admission{Input: Input{Admit: func(r *kgo.Record) error { panic("a person's " + string(r.Value)) }}, partitions: 1}
	v, why, err := a.judge(&kgo.Record{Key: []byte("k"), Value: []byte("address")})
	if v != refused || err != nil || why.Reason != ReasonDefect || !strings.Contains(why.Detail, "admission_test.go") || strings.Contains(why.Detail, "person") {
		t.Errorf("%d, %+v, %v", v, why, err)
	}
}

// The largest record goes every way byte for byte: it is handled, moved, or a dead letter. One byte more is a dead letter that says where it is.
func TestTheLargestRecord(t *testing.T) {
	t.Parallel()
	const most = 2 * topics.RecordBytes
	limit := func(topic string) worldOption { return withConfig(topic, "max.message.bytes", fmt.Sprint(most)) }
	inVirtualTime(t, 1, func(t *testing.T, w *world) {
		producer := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(most))
		defer producer.Close()
		key := keyIn(1, w.partitions)
		value := func(prefix string, more int) []byte {
			return []byte(prefix + noise(topics.RecordBytes-len(key)-len(prefix)+more))
		}
		malformed, tooLarge := value("malformed", 0), value("too large", 1)
		for p, v := range map[int32][][]byte{1: {value("good_", 0), malformed, tooLarge}, 2: {value("moved", 0)}} {
			for _, v := range v {
				mustDo(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: commands, Partition: p, Key: []byte(key), Value: v}).FirstErr())
			}
		}
		brief := func(c *Config) {
			c.Inputs[commands] = Input{DeadLetters: letters, Move: true, Admit: func(r *kgo.Record) error {
				if strings.HasPrefix(string(r.Value), "malformed") {
					return &Reject{Reason: "malformed", Detail: strings.Repeat("why ", 100)}
				}
				return nil
			}}
		}
		a := w.newInstance("a", nil, brief, func(c *Config) { // an event names its command's first word only
			c.Graph = goka.DefineGroup(groupName, goka.Input(commands, bytesCodec{}, func(ctx goka.Context, msg any) {
				row, _ := ctx.Value().([]byte)
				n := count(row) + 1
				ctx.SetValue(binary.BigEndian.AppendUint64(nil, n))
				word := string(msg.([]byte)[:5]) //nolint:forcetypeassert // The codec's.
				ctx.Emit(events, ctx.Key(), fmt.Appendf(nil, "%s %d", word, n))
			}), goka.Output(events, bytesCodec{}), goka.Persist(bytesCodec{}))
		})
		a.run()
		a.ready()
		w.until("all is handled", func() bool { // the moved one last, and a marker behind it is nobody's lag
			return len(w.dump(events, kgo.ReadCommitted())[1]) == 2 && len(w.dump(letters, kgo.ReadCommitted())[1]) == 2
		})
		a.stop()
		var got []string
		for _, r := range w.dump(events, kgo.ReadCommitted())[1] {
			got = append(got, string(r.Value))
		}
		if want := []string{"good_ 1", "moved 2"}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("events %q, want %q", got, want)
		}
		dead := w.dump(letters, kgo.ReadCommitted())[1]
		if len(dead) != 2 {
			t.Fatalf("%d dead letters, want 2", len(dead))
		}
		if !bytes.Equal(dead[0].Value, malformed) || string(dead[0].Key) != key {
			t.Error("the malformed record is not as received")
		}
		sum := fmt.Sprintf("%x", sha256.Sum256(tooLarge))
		if r := dead[1]; r.Value != nil || r.Key != nil || string(header(r, HeaderReason)) != ReasonTooLarge || !strings.Contains(string(header(r, HeaderDetail)), sum) ||
			string(header(r, HeaderOffset)) != "2" {
			t.Errorf("of the record that is too large: key %q, %d bytes, headers %v", r.Key, len(r.Value), r.Headers)
		}
	}, limit(commands), limit(letters))
}
