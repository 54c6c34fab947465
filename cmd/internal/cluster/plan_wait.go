package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// visibleWithin is how long Apply waits for the brokers to hear of what the controller has made: they make a folder for
// each partition first, which takes a slow disk a second.
const visibleWithin = 2 * time.Minute

// errInvisible is the state of a topic that the controller has made and the brokers do not know yet.
var errInvisible = errors.New("made, but the brokers do not know it yet")

// awaitVisible waits until every partition of the topics has a leader that the brokers know. The controller answers as soon
// as a topic is in its own log; whoever asks a broker right after that (the next command, a service that starts) may be
// told that there is no such topic.
func awaitVisible(ctx context.Context, adm *kadm.Client, names []string) error {
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := visible(ctx, adm, names)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // else it only says that the time is over
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(last, ctx.Err())
		case <-tick.C:
		}
	}
}

func visible(ctx context.Context, adm *kadm.Client, names []string) error {
	found, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		t, ok := found[name]
		if !ok || t.Err != nil || len(t.Partitions) == 0 {
			return fmt.Errorf("topic %s: %w", name, errInvisible)
		}
		for _, p := range t.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return fmt.Errorf("topic %s: partition %d has no leader: %w", name, p.Partition, errInvisible)
			}
		}
	}
	return nil
}
