package ask

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What comes behind a record that cannot be read waits for it; other partitions do not.
func TestLateRepliesKeepTheOrderOfAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := map[string]bool{"a": true, "c": true}
		var read []string
		l := lateReplies{read: func(r *kgo.Record) bool {
			if !known[string(r.Value)] {
				return false
			}
			read = append(read, strconv.Itoa(int(r.Partition))+string(r.Value))
			return true
		}}
		want := func(what string, kept int) {
			t.Helper()
			if got := strings.Join(read, " "); got != what || len(l.kept) != kept {
				t.Errorf("read %q, %d kept; want %q, %d", got, len(l.kept), what, kept)
			}
			read = nil
		}
		l.take([]*kgo.Record{rec(0, "a"), rec(0, "b"), rec(0, "c"), rec(1, "c")})
		want("0a 1c", 2)
		known["b"] = true
		time.Sleep(retryLate / 2)
		l.take([]*kgo.Record{rec(0, "a"), rec(1, "d"), rec(2, "a")}) // too early
		want("2a", 4)
		time.Sleep(retryLate / 2)
		l.take([]*kgo.Record{rec(1, "c")})
		want("0b 0c 0a", 2)
		known["d"] = true
		time.Sleep(retryLate)
		l.take(nil)
		want("1d 1c", 0)
		l.take([]*kgo.Record{rec(1, "a")})
		want("1a", 0)
	})
}

// A registry that hangs costs each look one look-up, whatever waits for it, and there is time to poll between two of them.
func TestLateRepliesLeaveTimeForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stuck = 24
		hangs, reads := true, map[int32]int{}
		l := lateReplies{read: func(r *kgo.Record) bool {
			if hangs {
				time.Sleep(registryPatience)
				reads[r.Partition]++
			}
			return !hangs
		}}
		var first []*kgo.Record
		for p := range int32(stuck) {
			first = append(first, rec(p, "x"))
		}
		l.take(first)
		for range stuck {
			if wait := time.Until(l.again); wait < retryLate {
				t.Fatalf("%s are left to poll", wait)
			}
			time.Sleep(time.Until(l.again))
			before := time.Now()
			l.take(nil)
			if took := time.Since(before); took > registryPatience {
				t.Fatalf("a look took %s", took)
			}
		}
		for p, n := range reads {
			if n != 2 {
				t.Errorf("partition %d was looked at %d times", p, n)
			}
		}
		hangs = false
		time.Sleep(retryLate)
		if l.take(nil); len(l.kept) != 0 {
			t.Errorf("%d are still kept", len(l.kept))
		}
	})
}

const registryPatience = 250 * time.Millisecond

func rec(partition int32, value string) *kgo.Record {
	return &kgo.Record{Partition: partition, Value: []byte(value)}
}
