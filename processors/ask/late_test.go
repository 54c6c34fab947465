package ask

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What comes behind a record that cannot be read waits for it; other partitions do not.
func TestLateRepliesKeepTheOrderOfAPartition(t *testing.T) {
	known := map[string]bool{"a": true, "c": true}
	var read []string
	l := lateReplies{read: func(r *kgo.Record) bool {
		if !known[string(r.Value)] {
			return false
		}
		read = append(read, strconv.Itoa(int(r.Partition))+string(r.Value))
		return true
	}}
	rec := func(partition int32, value string) *kgo.Record {
		return &kgo.Record{Partition: partition, Value: []byte(value)}
	}
	at := time.Unix(0, 0)
	want := func(what string, kept int) {
		t.Helper()
		if got := strings.Join(read, " "); got != what || len(l.kept) != kept {
			t.Errorf("read %q, %d kept; want %q, %d", got, len(l.kept), what, kept)
		}
		read = nil
	}
	l.take([]*kgo.Record{rec(0, "a"), rec(0, "b"), rec(0, "c"), rec(1, "c")}, at)
	want("0a 1c", 2)
	known["b"] = true
	l.take([]*kgo.Record{rec(0, "a"), rec(1, "d"), rec(2, "a")}, at.Add(retryLate/2)) // too early
	want("2a", 4)
	l.take([]*kgo.Record{rec(1, "c")}, at.Add(retryLate))
	want("0b 0c 0a", 2)
	known["d"] = true
	l.take(nil, at.Add(2*retryLate))
	want("1d 1c", 0)
	l.take([]*kgo.Record{rec(1, "a")}, at.Add(2*retryLate))
	want("1a", 0)
}
