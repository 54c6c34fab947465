// Package broker holds the tests that only a real Kafka can decide: Apache Kafka and a real schema registry, the binaries as
// they are shipped, the command line as people type it, faults under load, and the independent checker at the end. Build
// tag broker (make broker). Which fact of integration/BROKER.md a test shows is written there.
package broker
