// Package clients holds programs that use the system from outside, with clients that nobody here wrote: Python
// (confluent-kafka, which is librdkafka), Java (the reference client) and kcat. They are examples for people and, where
// their tools are installed, tests: build tag foreign.
//
// What they may know is what anybody outside knows: topics, and the schemas that the registry holds.
package clients
