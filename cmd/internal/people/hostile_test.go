package people_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"

	"utopia/cmd/internal/people"
)

// container is an object container with one block that says what it likes.
func container(tb testing.TB, schema, codec string, items, size int64, block []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	if _, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: schema, CompressionName: codec}); err != nil {
		tb.Fatal(err)
	}
	header := bytes.Clone(b.Bytes())
	out := binary.AppendVarint(binary.AppendVarint(header, items), size)
	out = append(out, block...)
	return append(out, header[len(header)-16:]...) // the sync marker ends the header
}

const flat = `{"type":"record","name":"R","fields":[{"name":"id","type":"string"}]}`

// A file may be small and say that it is large.
func TestAContainerCannotAskForMemory(t *testing.T) {
	deflated := deflate(t, 256<<20)
	for name, b := range map[string][]byte{
		"a block of 2 GiB":                    container(t, flat, goavro.CompressionNullLabel, 1, math.MaxInt32, nil),
		"2^31 rows":                           container(t, flat, goavro.CompressionNullLabel, math.MaxInt32, 3, []byte{2, 'x', 0}),
		"a string of 2 GiB":                   container(t, flat, goavro.CompressionNullLabel, 1, 5, binary.AppendVarint(nil, math.MaxInt32)),
		"a block that inflates to 256 MiB":    container(t, flat, goavro.CompressionDeflateLabel, 1, int64(len(deflated)), deflated),
		"an array of 2^31 items without data": container(t, `{"type":"record","name":"R","fields":[{"name":"id","type":{"type":"array","items":"null"}}]}`, goavro.CompressionNullLabel, 1, 6, append(binary.AppendVarint(nil, math.MaxInt32), 0)),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			rows, err := drain(people.Avro, b)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 192<<20 { // a buffer that grows to the limit of 32 MiB, and what the race detector adds
				t.Errorf("%d bytes of memory for a file of %d (%d rows, %v)", got, len(b), rows, err)
			}
			if err == nil {
				t.Errorf("%d rows, no error", rows)
			}
		})
	}
}

// drain reads to the end or the first error that is no row's.
func drain(f people.Format, b []byte) (rows int, err error) {
	r, err := people.NewReader(f, bytes.NewReader(b))
	for err == nil {
		var bad *people.RowError
		if _, err = r.Read(); errors.As(err, &bad) {
			err = nil
		} else if errors.Is(err, io.EOF) {
			return rows, nil
		}
		rows++
	}
	return rows, err
}

// FuzzRead looks for files of any format that make a reader panic, or never end.
func FuzzRead(f *testing.F) {
	for _, format := range people.Formats() {
		var b bytes.Buffer
		w, err := people.NewWriter(format, &b)
		if err != nil {
			f.Fatal(err)
		}
		for _, r := range samples() {
			if err := w.Write(r); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(string(format), b.Bytes())
	}
	f.Add("avro", container(f, flat, goavro.CompressionNullLabel, 2, 3, []byte{2, 'x', 0}))
	f.Fuzz(func(t *testing.T, format string, b []byte) {
		rows, _ := drain(people.Format(strings.ToLower(format)), b)
		if rows > len(b)+1 {
			t.Fatalf("%d rows of %d bytes", rows, len(b))
		}
	})
}

// deflate compresses n zero bytes.
func deflate(t *testing.T, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, n); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
