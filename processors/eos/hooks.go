package eos

import "time"

// Hooks are called while the processor runs, for metrics and tests. Each may be nil, must be safe for concurrent use, and must return at once:
// they are called from the transaction loop.
type Hooks struct {
	// Handled counts records of an input topic that were handled in a committed transaction, dead letters and moved records included.
	Handled func(topic string, records int)

	// Input is called about once a second for each assigned input partition: how many records are not handled yet, how old the oldest of
	// them is, and the topic's retention (0 = for ever). A backlog that nears the retention is about to lose commands.
	Input func(topic string, partition int32, lag int64, oldest, retention time.Duration)

	// Committed gives the time from begin to the broker's answer, and the number of input records, of a committed transaction.
	Committed func(latency time.Duration, records int)

	// Aborted counts transactions that were not committed, with a reason of a few words.
	Aborted func(reason string)

	// Recovered gives the time a generation's tables took to catch up with the changelog, and for how many partitions.
	Recovered func(elapsed time.Duration, partitions int)

	// DeadLetter counts records sent to the dead letters, with the reason that is in their header. It, Moved and Fired count what was committed.
	DeadLetter func(topic, reason string)

	// Moved counts records found in the wrong partition and sent on.
	Moved func(topic string)

	// Fired counts deadline commands.
	Fired func(kind string)

	// StoreSize is called about every ten seconds with the bytes that the group's table takes on disk.
	StoreSize func(bytes int64)

	// Stopped is called when an input partition is given up: records that were promised to it are gone from the log.
	Stopped func(topic string, partition int32)

	// At is for tests that stop or kill the process at a named point of a transaction: "poll", "begin", "produce", "flush", "offsets_added",
	// "end_sent", "end_answered", "store_applied". Nil in production.
	At func(point string)
}
