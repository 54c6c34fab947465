package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/api"
	"utopia/schemas"
)

// Event is one change with its place in the log. What it shares with others must not be changed.
type Event struct {
	Change    api.Change
	Partition int32
	Offset    int64
	At        time.Time // when the log took it
}

// errSkipped says that a record is not told on: this code knows no such type, or cannot read it. Every reader of the topic does so.
var errSkipped = errors.New("a record that is not told on")

// read makes an event of a record. errSkipped; schemas.ErrRegistryDown: try again.
func read(codec *schemas.Codec, r *kgo.Record) (Event, error) {
	if len(r.Value) == 0 {
		return Event{}, errSkipped
	}
	rec, err := codec.Decode(r.Value)
	switch {
	case errors.Is(err, schemas.ErrRegistryDown):
		return Event{}, err
	case err != nil:
		return Event{}, errSkipped
	}
	change, ok := api.ChangeOf(rec)
	if !ok || change.Subject != string(r.Key) {
		return Event{}, errSkipped
	}
	return Event{Change: change, Partition: r.Partition, Offset: r.Offset, At: r.Timestamp}, nil
}

// variant is what a caller may see.
type variant int

const (
	whole variant = iota
	masked
)

func variantOf(isMasked bool) variant {
	if isMasked {
		return masked
	}
	return whole
}

// frame is an event as server-sent events have it, without its id, which depends on who reads.
func (e Event) frame(v variant) ([]byte, error) {
	c := e.Change
	if v == masked {
		c = c.Masked()
	}
	data, err := json.Marshal(c) // one line: JSON has no raw line feeds
	if err != nil {
		return nil, fmt.Errorf("write a change: %w", err)
	}
	name := c.ShortType()
	b := make([]byte, 0, len(data)+len(name)+20)
	b = append(append(b, "event: "...), name...)
	b = append(append(b, "\ndata: "...), data...)
	return append(b, '\n', '\n'), nil
}
