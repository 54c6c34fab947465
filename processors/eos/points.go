package eos

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// points calls Hooks.At from within the client: between two requests of a transaction no other code of ours runs. For tests only.
type points struct{ at func(point string) }

var (
	_ kgo.HookBrokerWrite = points{}
	_ kgo.HookBrokerRead  = points{}
)

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (p points) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err != nil {
		return
	}
	switch key {
	case kmsg.Produce.Int16():
		p.at("produce")
	case kmsg.EndTxn.Int16():
		p.at("end_sent")
	}
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (p points) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err != nil {
		return
	}
	switch key {
	case kmsg.TxnOffsetCommit.Int16():
		p.at("offsets_added")
	case kmsg.EndTxn.Int16():
		p.at("end_answered")
	}
}
