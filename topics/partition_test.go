package topics_test

import (
	"strings"
	"testing"

	"utopia/topics"
)

// The vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
func TestPartitionAgreesWithTheJavaClient(t *testing.T) {
	for key, java := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		masked := java & 0x7fffffff
		h := topics.Hasher()
		if _, err := h.Write([]byte(key)); err != nil {
			t.Fatal(err)
		}
		if got := h.Sum32(); got != uint32(masked) {
			t.Errorf("%q hashes to %d, want %d", key, got, masked)
		}
		for _, n := range []int32{1, 4, 6, 24, 1 << 20} {
			if got, want := topics.Partition(key, n), masked%n; got != want {
				t.Errorf("%q of %d: partition %d, want %d", key, n, got, want)
			}
		}
	}
}

// With Goka's default hash this key has no absolute value, and its partition is negative.
func TestTheKeyThatStoppedGokaHasAPartition(t *testing.T) {
	if p := topics.Partition("6js76vc", 6); p < 0 || p > 5 {
		t.Fatalf("partition %d", p)
	}
}

func TestHasherMayBeWrittenInParts(t *testing.T) {
	whole, parts := topics.Hasher(), topics.Hasher()
	_, _ = parts.Write([]byte("something else"))
	parts.Reset()
	_, _ = whole.Write([]byte("customer-17"))
	for _, s := range []string{"cust", "", "omer", "-17"} {
		_, _ = parts.Write([]byte(s))
	}
	if whole.Sum32() != parts.Sum32() {
		t.Fatalf("%d in one write, %d in parts", whole.Sum32(), parts.Sum32())
	}
	if sum := parts.Sum([]byte{9}); len(sum) != 1+parts.Size() || sum[0] != 9 {
		t.Fatalf("Sum does not append: %v", sum)
	}
}

func FuzzPartition(f *testing.F) {
	f.Add("6js76vc", int32(6))
	f.Add("", int32(1))
	f.Fuzz(func(t *testing.T, key string, n int32) {
		if n < 1 {
			t.Skip()
		}
		if p := topics.Partition(key, n); p < 0 || p >= n {
			t.Fatalf("%q of %d: partition %d", key, n, p)
		}
	})
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]struct{ sender, derived bool }{
		"c-17":                           {true, true},
		"A.b_c~d-9":                      {true, true},
		strings.Repeat("x", 64):          {true, true},
		strings.Repeat("x", 65):          {false, true},
		strings.Repeat("x", 160):         {false, true},
		strings.Repeat("x", 161):         {false, false},
		"":                               {false, false},
		"c-17/3":                         {false, true},
		"due/c-17/expire/1700000000000":  {false, true},
		"c 17":                           {false, false},
		"c+17":                           {false, false},
		"c\x0017":                        {false, false},
		"ç-17":                           {false, false},
		"c%2F17":                         {false, false},
		"notification/c-17/9/2~old.mail": {false, true},
	} {
		if got := topics.ValidID(id); got != want.sender {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
		if got := topics.ValidDerivedID(id); got != want.derived {
			t.Errorf("ValidDerivedID(%q) = %v", id, got)
		}
	}
}
