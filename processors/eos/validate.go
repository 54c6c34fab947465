package eos

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"utopia/topics"
)

// Defaults of Config.
const (
	defaultCommitInterval     = 100 * time.Millisecond
	defaultMaxRecords         = 2_000
	defaultMaxBytes           = 8 << 20
	defaultMaxDirty           = 32 << 20
	defaultRowCacheBytes      = 64 << 20
	defaultTransactionTimeout = 10 * time.Second
	defaultSessionTimeout     = 30 * time.Second
	defaultHeartbeatInterval  = 250 * time.Millisecond
	defaultRebalanceTimeout   = 5 * time.Minute
)

func (c *Config) setDefaults() {
	c.CommitInterval = orDefault(c.CommitInterval, defaultCommitInterval)
	c.MaxRecords = orDefault(c.MaxRecords, defaultMaxRecords)
	c.MaxBytes = orDefault(c.MaxBytes, defaultMaxBytes)
	c.MaxDirty = orDefault(c.MaxDirty, defaultMaxDirty)
	c.CacheBytes = orDefault(c.CacheBytes, defaultRowCacheBytes)
	c.TransactionTimeout = orDefault(c.TransactionTimeout, defaultTransactionTimeout)
	c.HeartbeatInterval = orDefault(c.HeartbeatInterval, defaultHeartbeatInterval)
	c.SessionTimeout = max(orDefault(c.SessionTimeout, defaultSessionTimeout), c.RestartWithin)
	c.rebalanceTimeout = orDefault(c.rebalanceTimeout, defaultRebalanceTimeout)
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// validate reports everything that is wrong with c at once.
func (c *Config) validate() error {
	if c.Graph == nil {
		return errors.New("eos: Config.Graph is missing")
	}
	if err := c.Graph.Validate(); err != nil {
		return fmt.Errorf("eos: the group's graph: %w", err)
	}
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf("eos: "+format, args...)) }
	for _, e := range c.Graph.JointTables() {
		refuse("the group joins %s: Goka updates that table outside the transaction, so that a replay could decide differently; take it as an input", e.Topic())
	}
	for _, e := range c.Graph.LookupTables() {
		refuse("the group looks up %s: Goka updates that table outside the transaction, so that a replay could decide differently; take it as an input", e.Topic())
	}
	inputs := inputTopics(c.Graph)
	for _, topic := range inputs {
		if in, ok := c.Inputs[topic]; !ok {
			refuse("Config.Inputs says nothing about %s: state where its dead letters go", topic)
		} else if in.DeadLetters == "" {
			refuse("input %s has no topic for its dead letters", topic)
		}
	}
	if len(c.Inputs) > len(inputs) {
		refuse("Config.Inputs names topics that the group does not read")
	}
	if c.Dir == "" {
		refuse("Config.Dir is missing: the group's table needs a state directory")
	}
	if c.Instance != "" && !topics.ValidID(c.Instance) {
		refuse("instance %q: 1 to 64 of A–Z a–z 0–9 . _ ~ -", c.Instance)
	}
	if d := c.Deadlines; d != nil {
		if _, ok := c.Inputs[d.Topic]; !ok {
			refuse("deadlines go to %s, which the group does not read", d.Topic)
		}
		if c.Graph.GroupTable() == nil || d.Due == nil || d.Encode == nil {
			refuse("deadlines need a table, Due and Encode")
		}
	}
	interval, timeout := orDefault(c.CommitInterval, defaultCommitInterval), orDefault(c.TransactionTimeout, defaultTransactionTimeout)
	if timeout < interval {
		refuse("a commit interval of %v does not fit a transaction timeout of %v", interval, timeout)
	}
	return errors.Join(errs...)
}
