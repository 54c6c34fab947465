package topics

import "hash"

// Constants of MurmurHash2 as org.apache.kafka.common.utils.Utils.murmur2 uses them.
const (
	murmurSeed uint32 = 0x9747b28c
	murmurM    uint32 = 0x5bd1e995
	murmurR           = 24
)

// Partition returns the partition of key among n partitions: murmur2(key) & 0x7fffffff mod n, as the Java client's
// default partitioner does.
//
// It is the only key-to-partition rule in the system: a second rule would send commands to partitions where a restarted
// processor does not find their state. n must be at least 1, as for every topic it is; it panics otherwise.
func Partition(key string, n int32) int32 {
	return int32(masked(murmur2([]byte(key))) % uint32(n))
}

// Hasher returns the same rule for libraries that take a hash: its Sum32 is already masked to 31 bits, so that a library
// which turns it into a signed integer and takes the absolute value cannot see a negative one. For math.MinInt32 there is
// no absolute value, and a partition computed from it is out of range: one key in 2^32 stopped such a program.
func Hasher() hash.Hash32 { return new(hasher) }

// hasher collects what is written, because murmur2 mixes the length into its seed.
type hasher struct{ b []byte }

func (h *hasher) Write(p []byte) (int, error) {
	h.b = append(h.b, p...)
	return len(p), nil
}

func (h *hasher) Sum32() uint32 { return masked(murmur2(h.b)) }

func (h *hasher) Sum(in []byte) []byte {
	s := h.Sum32()
	return append(in, byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
}

func (h *hasher) Reset() { h.b = h.b[:0] }

func (h *hasher) Size() int { return 4 }

func (h *hasher) BlockSize() int { return 4 }

// masked clears the sign bit.
func masked(h uint32) uint32 { return h & 0x7fffffff }

// murmur2 is MurmurHash2 (Austin Appleby) with Kafka's seed.
func murmur2(b []byte) uint32 {
	h := murmurSeed ^ uint32(len(b))
	for len(b) >= 4 {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= murmurM
		k ^= k >> murmurR
		k *= murmurM
		h = h*murmurM ^ k
		b = b[4:]
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= murmurM
	}
	h ^= h >> 13
	h *= murmurM
	h ^= h >> 15
	return h
}
