// Package eos runs a Goka group inside Kafka transactions, so that every input record is reflected in the group's outputs, its table and its
// offsets exactly once, whatever is killed, cut off or restarted in between.
//
// Goka lets a caller supply its consumer group, producer, partition consumer, topic manager and storage; this package supplies all five on
// franz-go and Pebble, and no Sarama connection is ever opened. A Processor owns one group member: it polls, admits or refuses each record,
// hands the admitted ones to Goka, waits until they are handled, and ends the transaction.
//
// It knows neither record types nor business rules: what a valid record is, and when a deadline falls due, is told to it by Config. It takes no
// part in joins and look-up tables, which Goka updates outside the transaction and which are therefore refused.
package eos
