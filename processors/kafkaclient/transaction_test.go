//go:build synctests

package kafkaclient_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors/kafkaclient"
)

// A client that has heard that a topic is not there has not noted its partitions.
func TestATransactionEndsWhenItsTopicIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(network.Listen))
		if err != nil {
			t.Fatal(err)
		}
		defer broker.Close()
		opts := []kgo.Opt{kgo.SeedBrokers(broker.ListenAddrs()...), kgo.Dialer(network.DialContext)}
		cl, err := kafkaclient.New(t.Context(), append(opts, kgo.TransactionalID("t"), kgo.UnknownTopicRetries(-1))...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: topic, Value: []byte("late")}
		acked := make(chan error, 1)
		cl.Produce(t.Context(), r, func(_ *kgo.Record, err error) { acked <- err })
		for {
			if leader, _, err := cl.PartitionLeader(topic, 0); leader < 0 && err != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := kafkaclient.AwaitNoted(short, cl.Client, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("noted before it was there: %v", err)
		}

		other, err := kafkaclient.New(t.Context(), append(opts, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := kadm.NewClient(other.Client).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		if err := <-acked; err != nil {
			t.Fatal(err)
		}
		if err := kafkaclient.EndTransaction(t.Context(), cl.Client, kgo.TryCommit, r); err != nil {
			t.Fatal(err)
		}
		read, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		for {
			fetches := other.PollFetches(read)
			if read.Err() != nil {
				t.Fatal("what was committed cannot be read")
			}
			if fetches.NumRecords() == 1 {
				return
			}
		}
	})
}
