package eos

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FuzzDueKeys reads deadlines that nobody wrote: no panic, and what is understood is written the same way again.
func FuzzDueKeys(f *testing.F) {
	s := mustStore(f, mustOpen(f, vfs.NewMem()), indexedOptions())
	f.Add(s.dueKey(5, "key", Deadline{Kind: "expire", Ref: "r"})[4:])
	f.Add([]byte{kindDue, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, rest []byte) {
		if len(rest) == 0 || rest[0] != kindDue {
			return
		}
		entry := append(s.keyspace(nil, 0)[:4], rest...)
		_, key, ok := parseDueKey(entry)
		if _, err := s.valid(entry); err != nil {
			t.Fatal(err)
		}
		if ok && len(key) > len(entry) {
			t.Fatalf("key of %d bytes in an entry of %d", len(key), len(entry))
		}
	})
}

// FuzzState opens a directory whose state has one run of bytes replaced, and reads everything: what was committed at the offset that it says, or an
// error, or nothing.
func FuzzState(f *testing.F) {
	golden, writes := writtenState(f)
	f.Add(uint16(0), uint32(100), []byte{1})
	f.Add(uint16(3), uint32(0), []byte("garbage"))
	f.Fuzz(func(t *testing.T, file uint16, at uint32, garbage []byte) {
		fs := copyFS(t, golden, "state")
		replaceBytes(t, fs, int(file), int(at), garbage)
		if serveDamaged(t, fs, writes) == "wrong" {
			t.Fatal("damage is served")
		}
	})
}
