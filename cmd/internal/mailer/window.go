package mailer

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
)

// window remembers which offsets of one partition are done. Mails are finished in any order, a group commits one offset
// per partition: the committed offset is that of the oldest open mail, and the commit's metadata names the open ones after
// it, so that a restart sends only those again and not everything that was finished behind one slow mail.
type window struct {
	next  int64              // everything below is done, but what is in open
	open  map[int64]struct{} // not done
	unmet []int64            // open since an earlier process and not read again yet, ascending
}

// metaVersion marks our metadata; other tools write their own text there.
const metaVersion = "u1 "

// maxMeta keeps the metadata below the broker's offset.metadata.max.bytes, 4,096 by default.
const maxMeta = 4000

// newWindow continues from a committed offset and its metadata. Metadata that is not ours, or belongs to another offset
// (somebody set the group's offsets by hand), is not used: then everything from the offset on is sent.
func newWindow(committed int64, meta string) *window {
	w := &window{next: max(committed, 0), open: map[int64]struct{}{}}
	open, next, ok := decodeMeta(committed, meta)
	if !ok {
		return w
	}
	w.next, w.unmet = next, open
	for _, o := range open {
		w.open[o] = struct{}{}
	}
	return w
}

// pass says that there is no record before offset which has not been read.
func (w *window) pass(offset int64) {
	for len(w.unmet) > 0 && w.unmet[0] < offset {
		delete(w.open, w.unmet[0]) // no longer in the log: retention has removed it
		w.unmet = w.unmet[1:]
	}
	w.next = max(w.next, offset)
}

// take reports whether the record at offset is to be sent. Records come in the order of their offsets.
func (w *window) take(offset int64) bool {
	known := w.next
	w.pass(offset)
	if len(w.unmet) > 0 && w.unmet[0] == offset {
		w.unmet = w.unmet[1:]
		return true
	}
	if offset < known {
		return false
	}
	w.next = offset + 1
	w.open[offset] = struct{}{}
	return true
}

// cutOff says that the log went no further than end: what was known of offsets from there on is not about what will be read.
func (w *window) cutOff(end int64) {
	w.next = min(w.next, end)
	w.unmet = slices.DeleteFunc(w.unmet, func(o int64) bool { return o >= end })
	for o := range w.open {
		if o >= end {
			delete(w.open, o)
		}
	}
}

// finish marks offset as done.
func (w *window) finish(offset int64) { delete(w.open, offset) }

// commit returns the offset to commit, and its metadata.
func (w *window) commit() (int64, string) {
	if len(w.open) == 0 {
		return w.next, ""
	}
	open := make([]int64, 0, len(w.open))
	for o := range w.open {
		open = append(open, o)
	}
	slices.Sort(open)
	return open[0], encodeMeta(open, w.next)
}

// encodeMeta writes the open offsets after the first, as distances, up to next. What does not fit is left out from the
// end together with everything above it, which makes those mails open again: the safe direction.
func encodeMeta(open []int64, next int64) string {
	var b []byte
	last := open[0]
	for _, o := range append(open[1:len(open):len(open)], next) {
		more := binary.AppendUvarint(b, uint64(o-last))
		if len(metaVersion)+base64.RawStdEncoding.EncodedLen(len(more)) > maxMeta {
			break // the last one written becomes next
		}
		b, last = more, o
	}
	return metaVersion + base64.RawStdEncoding.EncodeToString(b)
}

// decodeMeta is the reverse of encodeMeta: the last distance leads to next, the others to open offsets.
func decodeMeta(committed int64, meta string) (open []int64, next int64, ok bool) {
	text, ours := strings.CutPrefix(meta, metaVersion)
	if !ours || committed < 0 {
		return nil, 0, false
	}
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, 0, false
	}
	open = []int64{committed}
	for at := committed; len(b) > 0; {
		d, n := binary.Uvarint(b)
		if n <= 0 || d == 0 || d > 1<<40 {
			return nil, 0, false
		}
		at, b = at+int64(d), b[n:]
		open = append(open, at)
	}
	last := len(open) - 1
	return open[:last], open[last], true
}
