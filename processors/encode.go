package processors

import (
	"fmt"

	"github.com/lovoo/goka"

	"utopia/schemas"
	"utopia/topics"
)

// recordOverhead is what a record takes in a batch beside key and value, at most: the batch header (61 bytes, KIP-98)
// and the record's own lengths, deltas and header count.
const recordOverhead = 128

// slabBytes holds the outputs of most records; a letter makes the slab grow once.
const slabBytes = 2048

// encoder appends the outputs of one input record to its plan's slab.
type encoder struct {
	codecs map[string]*schemas.Codec
}

// add encodes out and appends it to the plan. ErrTooLarge says that its topic would refuse it.
func (e *encoder) add(p *plan, out output) error {
	if out.record == nil {
		p.outputs = append(p.outputs, encodedOutput{topic: goka.Stream(out.topic.Name), key: out.key})
		return nil
	}
	if p.slab == nil {
		p.slab = make([]byte, 0, slabBytes)
	}
	from := len(p.slab)
	var err error
	if out.topic.Private() {
		p.slab, err = schemas.AppendPrivate(p.slab, out.record)
	} else {
		p.slab, err = e.codecs[out.topic.Name].Append(p.slab, out.record)
	}
	if err != nil {
		return fmt.Errorf("encode %s for %s: %w", out.record.AvroName(), out.topic.Name, err)
	}
	value := p.slab[from:len(p.slab):len(p.slab)]
	p.outputs = append(p.outputs, encodedOutput{topic: goka.Stream(out.topic.Name), key: out.key, value: value})
	return e.fits(out.topic, len(out.key)+len(value))
}

// fits compares a record's size with the most its topic takes.
func (e *encoder) fits(t topics.Topic, size int) error {
	if t.MaxBytes > 0 && size+recordOverhead > t.MaxBytes {
		return fmt.Errorf("%w: %d bytes for %s, which takes %d", ErrTooLarge, size, t.Name, t.MaxBytes)
	}
	return nil
}
