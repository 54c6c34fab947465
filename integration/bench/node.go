package main

import (
	"context"
	"errors"
)

// kafkaVersion is what is measured against.
const kafkaVersion = "4.3.0"

// cluster starts a Kafka of one node, unless one was named, and returns what stops it.
func (b *bench) cluster(_ context.Context, k *kafka) (stop func(), err error) {
	if k.brokers != "" {
		return func() {}, nil
	}
	return nil, errors.New("name a cluster with -brokers")
}
