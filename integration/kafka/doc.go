// Package kafka starts the real parts that the broker tier tests against: Apache Kafka in KRaft mode, one node or more, and
// a schema registry with real compatibility checks. Both come from the Maven artifacts that pom.xml pins, downloaded once
// into .cache/kafka; they need a JDK (17 or later) and Maven, listen on loopback only, and end with the process that
// started them, even if that is killed.
//
// In a test:
//
//	cluster := kafka.Start(t, kafka.Options{Nodes: 3})
//	registry := kafka.StartRegistry(t)
//
// By hand: make kafka.
//
// It knows nothing of the system that is tested.
package kafka
