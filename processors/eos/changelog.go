package eos

import (
	"log/slog"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"
)

// changelogOptions tune the reader of a table's log.
type changelogOptions struct {
	client []kgo.Opt // seeds, TLS, SASL, dialer
	logger *slog.Logger
}

// changelogConsumer returns the consumer that Goka recovers tables and feeds views with: one franz-go client for all
// partitions, committed records only, transaction markers passed on as marked messages.
func changelogConsumer(o changelogOptions) goka.SaramaConsumerBuilder {
	return func([]string, string) (sarama.Consumer, error) { return nil, errSkeleton }
}

// skipMarkers is the update callback of every table: it ignores the marked messages that changelogConsumer passes on so that
// offsets advance over transaction markers.
func skipMarkers(ctx goka.UpdateContext, s storage.Storage, key string, value []byte) error {
	return errSkeleton
}
