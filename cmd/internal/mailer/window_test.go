package mailer

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestWindowForgetsNoMail runs a partition through finishes in any order, commits, and restarts from any commit: at the
// end each mail was finished, and those finished before the last commit were not sent again.
func TestWindowForgetsNoMail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.Int64Range(0, 60).Draw(t, "end")
		gone := map[int64]bool{} // markers of transactions
		for o := range end {
			gone[o] = rapid.IntRange(0, 4).Draw(t, "marker") == 0
		}
		finished := map[int64]int{}
		var committed int64
		var meta string
		var safe map[int64]int // finished at the last commit
		for range rapid.IntRange(1, 4).Draw(t, "lives") {
			w, inFlight := newWindow(committed, meta), []int64{}
			known := clone(safe) // what this life can know to be finished
			for o := committed; o < end; o++ {
				if gone[o] {
					continue
				}
				if w.take(o) {
					if safe[o] > 0 {
						t.Fatalf("offset %d is sent again after its end was committed", o)
					}
					inFlight = append(inFlight, o)
				} else if known[o] == 0 {
					t.Fatalf("offset %d is skipped and was not finished", o)
				}
				for len(inFlight) > 0 && rapid.Bool().Draw(t, "finish") {
					i := rapid.IntRange(0, len(inFlight)-1).Draw(t, "which")
					w.finish(inFlight[i])
					finished[inFlight[i]]++
					known[inFlight[i]]++
					inFlight = slices.Delete(inFlight, i, i+1)
				}
				if rapid.Bool().Draw(t, "commit") {
					before := committed
					committed, meta = w.commit()
					if committed < before {
						t.Fatalf("the commit went back from %d to %d", before, committed)
					}
					safe = clone(known)
				}
			}
		}
		w := newWindow(committed, meta)
		for o := committed; o < end; o++ {
			if !gone[o] && w.take(o) {
				finished[o]++
				w.finish(o)
			}
		}
		for o := range end {
			if !gone[o] && finished[o] == 0 {
				t.Fatalf("offset %d was never sent", o)
			}
		}
	})
}

func clone(m map[int64]int) map[int64]int {
	c := map[int64]int{}
	for k, v := range m {
		c[k] = v
	}
	return c
}

func TestWindowSkipsWhatRetentionRemoved(t *testing.T) {
	w := newWindow(0, "")
	for o := range int64(10) {
		w.take(o)
		if o != 2 && o != 5 {
			w.finish(o)
		}
	}
	committed, meta := w.commit()
	w = newWindow(committed, meta)
	if w.take(2) != true { // 5 is gone from the log when 8 arrives
		t.Fatal("the open mail is not sent again")
	}
	w.finish(2)
	if w.take(8) {
		t.Fatal("a finished mail is sent again")
	}
	if got, _ := w.commit(); got != 10 {
		t.Fatalf("committed %d: a mail that is gone holds the group back", got)
	}
}

func TestMetadataThatDoesNotFitIsCutSafely(t *testing.T) {
	w := newWindow(0, "")
	for o := range int64(40_000) {
		w.take(o)
		if o%7 != 0 {
			w.finish(o)
		}
	}
	committed, meta := w.commit()
	if len(meta) > maxMeta || len(meta) < maxMeta-8 {
		t.Fatalf("metadata of %d bytes", len(meta))
	}
	again := newWindow(committed, meta)
	for o := committed; o < 40_000; o++ {
		if !again.take(o) && o%7 == 0 {
			t.Fatalf("offset %d is skipped and was never finished", o)
		}
	}
}

func TestForeignMetadataIsNotUsed(t *testing.T) {
	for _, meta := range []string{"", "consumer-1-0b5a", "u1 ", "u1 !!", "u1 AA", "u1 /////////////w"} {
		w := newWindow(7, meta)
		if diff := cmp.Diff(int64(7), w.next); diff != "" || len(w.open) != 0 {
			t.Errorf("%q: %v", meta, w)
		}
	}
	if w := newWindow(-1, ""); w.next != 0 {
		t.Errorf("without a commit: %v", w)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(int64(3), encodeMeta([]int64{3, 9, 12}, 40))
	f.Fuzz(func(t *testing.T, committed int64, meta string) {
		w := newWindow(committed, meta)
		if w.next < committed {
			t.Fatalf("next %d before the committed %d", w.next, committed)
		}
		if got, _ := w.commit(); committed >= 0 && got != committed {
			t.Fatalf("committed %d became %d", committed, got)
		}
	})
}
