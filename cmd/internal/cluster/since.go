package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// OffsetsSince lists, for each partition of a topic, the offset of the first record whose timestamp is at or after a moment. Where
// there is none yet it is the end of what was committed before the question, so that a record that comes meanwhile lies behind it.
// (kadm asks for the end afterwards, and steps over such a record.)
func OffsetsSince(ctx context.Context, adm *kadm.Client, topic string, at time.Time) (kadm.ListedOffsets, error) {
	ends, err := listed(adm.ListCommittedOffsets(ctx, topic))
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	// Before 1970 there are no records, and negative times ask Kafka for other things.
	found, err := listed(adm.ListOffsetsAfterMilli(ctx, max(at.UnixMilli(), 0), topic))
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	for part, o := range found[topic] {
		if end, ok := ends.Lookup(topic, part); ok && o.Timestamp < 0 { // no record was found: it is an end
			found[topic][part] = end
		}
	}
	return found, nil
}
