package schemas

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew; a line that changes breaks what is in the log")

// The bytes of every revision are kept: a change of any library that wrote other bytes, or read these otherwise, would
// break what is in the log already.
func TestGoldenBytes(t *testing.T) {
	const file = "testdata/golden.txt"
	var out bytes.Buffer
	for _, k := range kinds(t) {
		for i, s := range k.parsed {
			fmt.Fprintf(&out, "%s %d %x\n", k.name, i+1, body(t, s))
		}
	}
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, out.Bytes()) {
		t.Errorf("%s is not what goavro writes; a new record or revision needs -update, anything else is a break", file)
	}
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(kept)); lines.Scan(); n++ {
		part := strings.Fields(lines.Text())
		golden, err := hex.DecodeString(part[2])
		if err != nil {
			t.Fatal(err)
		}
		k := everything(t).byName[part[0]]
		var i int
		if _, err := fmt.Sscan(part[1], &i); err != nil || k == nil || i > len(k.readers) {
			t.Errorf("%s %s is no longer embedded: %v", part[0], part[1], err)
			continue
		}
		rec, err := k.readers[i-1].decode(golden)
		if err != nil {
			t.Errorf("%s %d: %v", part[0], i, err)
			continue
		}
		if i < len(k.readers) {
			continue // it is written in today's revision, which the last line holds
		}
		if again, err := k.encode(nil, rec); err != nil || !bytes.Equal(again, golden) {
			t.Errorf("%s %d: %x, %v", part[0], i, again, err)
		}
	}
	if n < len(types()) {
		t.Fatalf("%d lines for %d record types", n, len(types()))
	}
}
