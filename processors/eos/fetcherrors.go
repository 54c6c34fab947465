package eos

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errors looks at the errors of a poll, which come with polls that bring no records as well. It returns one for which the member must be replaced.
func (r *reader) errors(fetches kgo.Fetches) (fatal error) {
	fetches.EachError(func(topic string, partition int32, err error) {
		switch {
		case errors.Is(err, kgo.ErrClientClosed), isType[*kgo.ErrGroupSession](err), errors.Is(err, kerr.UnknownTopicID):
			// A topic under another id was made again. The next member's assignment is compared with what there was (sameTopics).
			fatal = errors.Join(fatal, err)
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			// The poll's own end.
		case isType[*kgo.ErrDataLoss](err), isType[*kgo.ErrDecompressTooLarge](err), errors.Is(err, kerr.OffsetOutOfRange):
			r.stop(topicPartition{topic, partition}, err)
		default:
			if now := time.Now(); now.Sub(r.logged) > 5*time.Second {
				r.logged = now
				r.p.log.Error("an input cannot be read, trying again", slog.String("topic", topic), slog.Int("partition", int(partition)),
					slog.String("error", err.Error()))
			}
		}
	})
	return fatal
}

// stop gives an input partition up until a person has decided: records that the group was to handle are not in the log, and going on anywhere else would
// skip or repeat some without a word.
func (r *reader) stop(tp topicPartition, err error) {
	if r.stopped[tp] {
		return
	}
	r.stopped[tp] = true
	r.m.cl.PauseFetchPartitions(tp.asMap())
	r.p.log.Error("an input partition is stopped: records were lost, or removed before they were handled; look at the topic's retention and at what is "+
		"missing, then say where to go on with \"utopia offsets set\" and restart",
		slog.String("topic", tp.topic), slog.Int("partition", int(tp.partition)), slog.String("error", err.Error()))
	if r.p.cfg.Hooks.Stopped != nil {
		r.p.cfg.Hooks.Stopped(tp.topic, tp.partition)
	}
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
