package feed

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// ErrPosition says that a text is not a position of the feed, or one that the log has not reached: it is damaged, or was made up.
var ErrPosition = errors.New("not a position of this feed")

// GoneError says that the log no longer has everything after a position.
type GoneError struct {
	Oldest string // the position before the oldest event that is kept
	Anew   bool   // the topic was made anew: nothing that the position counted is there
}

// Error implements error.
func (e *GoneError) Error() string {
	if e.Anew {
		return "the log was made anew since this position"
	}
	return "the log no longer has everything after this position"
}

// Position is how far somebody has read: for each partition the offset of the next record. A position is never changed.
type Position []int64

const (
	positionFormat = 1
	mostPartitions = 4096
	tagBytes       = 4 // of the topic's id, so that a topic that was made anew is noticed
)

type tag [tagBytes]byte

// encode writes a position as an id of server-sent events and as a query parameter: base64url of the format, the tag of the
// topic, the number of partitions and the offsets as varints, and a CRC-32C of all of it. The checksum is against damage; a
// position gives no right, so nobody gains by making one up.
func (p Position) encode(t tag) string {
	b := make([]byte, 0, 16+5*len(p))
	b = append(b, positionFormat)
	b = append(b, t[:]...)
	b = binary.AppendUvarint(b, uint64(len(p)))
	for _, offset := range p {
		b = binary.AppendUvarint(b, uint64(offset)) //nolint:gosec // an offset is not negative
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return base64.RawURLEncoding.EncodeToString(b)
}

// decode is the reverse of encode. ErrPosition.
func decode(text string) (Position, tag, error) {
	var t tag
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 1+tagBytes+1+4 || b[0] != positionFormat {
		return nil, t, ErrPosition
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, t, ErrPosition
	}
	body = body[1+copy(t[:], body[1:1+tagBytes]):]
	n, size := binary.Uvarint(body)
	if size <= 0 || n == 0 || n > mostPartitions {
		return nil, t, ErrPosition
	}
	body = body[size:]
	p := make(Position, 0, min(n, uint64(len(body))))
	for range n {
		offset, size := binary.Uvarint(body)
		if size <= 0 || offset > 1<<62 {
			return nil, t, ErrPosition
		}
		body = body[size:]
		p = append(p, int64(offset)) //nolint:gosec // at most 1<<62
	}
	if len(body) > 0 {
		return nil, t, ErrPosition
	}
	return p, t, nil
}

// fit gives a position the log's number of partitions. Partitions that were added later have been read up to their beginning.
func (p Position) fit(partitions int) (Position, error) {
	if len(p) > partitions {
		return nil, fmt.Errorf("%w: it has %d partitions, the log %d", ErrPosition, len(p), partitions)
	}
	out := make(Position, partitions)
	copy(out, p)
	return out, nil
}

// covers says whether everything before q is also before p.
func (p Position) covers(q Position) bool {
	for i := range q {
		if p[i] < q[i] {
			return false
		}
	}
	return true
}

// with is p after the record at offset.
func (p Position) with(partition int32, offset int64) Position {
	out := slices.Clone(p)
	out[partition] = offset + 1
	return out
}

// further is the larger of both in each partition.
func (p Position) further(q Position) Position {
	if p.covers(q) {
		return p
	}
	out := slices.Clone(p)
	for i := range q {
		out[i] = max(out[i], q[i])
	}
	return out
}
