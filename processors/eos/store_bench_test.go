package eos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

const benchRow = 250 // bytes

func benchKey(buf []byte, i int) string {
	return string(strconv.AppendInt(append(buf[:0], "customer-"...), int64(i)*2654435761%1_000_000_007, 10))
}

// benchDir opens a store on the disk, because that is where it has to be fast.
func benchDir(b *testing.B) *stateDir {
	b.Helper()
	d, err := openStateDir(vfs.Default, b.TempDir())
	mustDo(b, err)
	b.Cleanup(func() { mustDo(b, d.closeAll()) })
	return d
}

// BenchmarkStoreTransaction is what a command costs the store: read the row, set it, commit 100 at a time. hot: 1,000 keys; cold: a million, used at
// random, with a cache for a tenth; new: every key once.
func BenchmarkStoreTransaction(b *testing.B) {
	for name, key := range map[string]func(i int) int{
		"hot":  func(i int) int { return i % 1000 },
		"cold": func(int) int { return rand.IntN(1_000_000) },
		"new":  func(i int) int { return 1_000_000 + i },
	} {
		b.Run(name, func(b *testing.B) {
			s := mustStore(b, benchDir(b), storeOptions{overlay: true})
			if name == "cold" {
				mustDo(b, s.Close(), s.Open())
				recoverRows(b, s, 0, 1_000_000, 1)
				settle(b, s)
			}
			cpu := cpuTime()
			defer func() { b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op") }()
			var buf [32]byte
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				k := benchKey(buf[:], key(i))
				_, err := s.Get(k)
				v := make([]byte, benchRow)
				binary.LittleEndian.PutUint64(v, uint64(i))
				err = errors.Join(err, s.Set(k, v))
				if i%100 == 99 {
					err = errors.Join(err, s.commit(int64(i)))
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// recoverRows writes rows from, from+step, ... below n as a recovery does.
func recoverRows(b *testing.B, s *store, from, n, step int) {
	b.Helper()
	rng := rand.New(rand.NewPCG(uint64(from), 0))
	v := make([]byte, benchRow)
	var buf [32]byte
	for i := from; i < n; i += step {
		for j := 0; j < benchRow; j += 16 { // half random, like a row
			binary.LittleEndian.PutUint64(v[j:], rng.Uint64())
		}
		if err := errors.Join(s.Set(benchKey(buf[:], i), v), s.SetOffset(int64(i))); err != nil {
			b.Fatal(err)
		}
	}
	mustDo(b, s.MarkRecovered())
}

// BenchmarkStoreRecovery is a million rows into an empty directory, four partitions at once: the store's part of a recovery from the log; then the
// start from what is on disk.
func BenchmarkStoreRecovery(b *testing.B) {
	const n, partitions = 1_000_000, 4
	due := func(_ string, row []byte) []Deadline {
		if row[0] < 16 {
			return []Deadline{{Kind: "expire", At: time.UnixMilli(int64(binary.LittleEndian.Uint32(row[1:])))}}
		}
		return nil
	}
	for range b.N {
		dir := b.TempDir()
		begin, cpu := time.Now(), cpuTime()
		d, err := openStateDir(vfs.Default, dir)
		mustDo(b, err)
		inParallel(partitions, func(p int) {
			s, err := d.store("t", int32(p), storeOptions{overlay: true, due: due})
			mustDo(b, err, s.Open())
			recoverRows(b, s, p, n, partitions)
		})
		b.ReportMetric(time.Since(begin).Seconds(), "recover-s")
		b.ReportMetric((cpuTime() - cpu).Seconds(), "recover-cpu-s")
		begin = time.Now()
		mustDo(b, d.closeAll())
		b.ReportMetric(time.Since(begin).Seconds(), "close-s")

		begin = time.Now()
		d, err = openStateDir(vfs.Default, dir)
		mustDo(b, err)
		inParallel(partitions, func(p int) {
			s, err := d.store("t", int32(p), storeOptions{overlay: true, due: due})
			mustDo(b, err, s.Open(), s.MarkRecovered())
		})
		b.ReportMetric(time.Since(begin).Seconds(), "reopen-s")
		runtime.GC()
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(mem.HeapAlloc)/(1<<20), "heap-MiB")
		mustDo(b, d.closeAll())
	}
}

// cpuTime is what the process has used: on a machine that others use, the only time that means something.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// settle waits until Pebble has nothing to compact.
func settle(b *testing.B, s *store) {
	b.Helper()
	mustDo(b, s.db.Flush())
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if m := s.db.Metrics(); m.Compact.NumInProgress == 0 && m.Compact.EstimatedDebt == 0 {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

func inParallel(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// BenchmarkStoreGet reads committed rows as a view does.
func BenchmarkStoreGet(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := mustStore(b, benchDir(b), storeOptions{})
			mustDo(b, s.Close(), s.Open())
			recoverRows(b, s, 0, n, 1)
			settle(b, s)
			cpu := cpuTime()
			defer func() { b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op") }()
			var buf [32]byte
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := s.committed(benchKey(buf[:], rand.IntN(n))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkViewRow is what a row costs a view that goes on reading, with look-up entries and without: three of them, which never change, as a customer's.
func BenchmarkViewRow(b *testing.B) {
	three := func(key string, _ []byte) ([]string, error) {
		return []string{"city/gouda", "email/" + key, "name/grace"}, nil
	}
	for name, index := range map[string]func(string, []byte) ([]string, error){"plain": nil, "indexed": three} {
		b.Run(name, func(b *testing.B) {
			d := benchDir(b)
			s := mustStore(b, d, storeOptions{index: index})
			cpu := cpuTime()
			var buf [32]byte
			for i := range b.N {
				v := make([]byte, benchRow)
				binary.LittleEndian.PutUint64(v, rand.Uint64())
				mustDo(b, s.Set(benchKey(buf[:], i%100_000), v), s.SetOffset(int64(i)))
			}
			s.mu.Lock()
			mustDo(b, s.writeAll())
			s.mu.Unlock()
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}
