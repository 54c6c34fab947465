package eos

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/topics"
)

// verdict is what admission decides about a record.
type verdict uint8

const (
	admitted  verdict = iota
	refused           // to the dead letters
	misplaced         // sent on to the partition of its key
	blocked           // cannot be judged now
)

// admission judges the records of one input topic before a transaction begins and before Goka sees them: inside Goka one record that cannot be
// decided would hold up every partition until the transaction times out.
type admission struct {
	Input
	partitions int32
}

// judge decides about r. The reject is set for refused, the error for blocked.
func (a *admission) judge(r *kgo.Record) (verdict, *Reject, error) {
	if size := sizeOf(r); size > topics.RecordBytes {
		return refused, &Reject{Reason: ReasonTooLarge, Detail: fmt.Sprintf("%d bytes, value with SHA-256 %x left out", size, sha256.Sum256(r.Value))}, nil
	}
	if r.Key == nil {
		return refused, &Reject{Reason: ReasonNilKey}, nil
	}
	key := keyString(r.Key)
	if !topics.ValidID(key) && (!a.Derived || !topics.ValidDerivedID(key)) {
		return refused, &Reject{Reason: ReasonBadKey, Detail: fmt.Sprintf("%d bytes", len(key))}, nil
	}
	if r.Value == nil && !a.Tombstones {
		return refused, &Reject{Reason: ReasonNilValue}, nil
	}
	if a.Admit != nil && r.Value != nil {
		if err := a.guarded(r); err != nil {
			return a.rejected(err)
		}
	}
	if home := topics.Partition(key, a.partitions); home != r.Partition {
		if a.Move && header(r, HeaderMovedFrom) == nil {
			return misplaced, nil, nil
		}
		return refused, &Reject{Reason: ReasonWrongPartition, Detail: fmt.Sprintf("belongs to %d of %d", home, a.partitions)}, nil
	}
	return admitted, nil, nil
}

// guarded is Admit under recover: a record that its code does not survive is a dead letter with the stack, and without what the panic says, which may quote it.
func (a *admission) guarded(r *kgo.Record) (err error) {
	defer func() {
		if recover() != nil {
			err = &Reject{Reason: ReasonDefect, Detail: string(debug.Stack())}
		}
	}()
	return a.Admit(r)
}

// sizeOf is what a record takes without compression, and without what we have added to it: one that was moved, or came back from the dead letters, must not
// become too large by that. A broker measures compressed batches, so that a record can be larger than what its topic takes.
func sizeOf(r *kgo.Record) int {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		if h.Key != HeaderMovedFrom && h.Key != HeaderRetryOf {
			size += len(h.Key) + len(h.Value)
		}
	}
	return size
}

// rejected reads Admit's error. One that is neither a Reject nor ErrBlocked is a reason without a code: the record is refused, never handled.
func (a *admission) rejected(err error) (verdict, *Reject, error) {
	if errors.Is(err, ErrBlocked) {
		return blocked, nil, err
	}
	if reject, ok := errors.AsType[*Reject](err); ok {
		return refused, reject, nil
	}
	return refused, &Reject{Reason: ReasonInadmissible}, nil
}

// header returns the value of the last header with that name, nil if there is none.
func header(r *kgo.Record, name string) []byte {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value
		}
	}
	return nil
}
