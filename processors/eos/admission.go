package eos

import (
	"errors"
	"fmt"

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
		if err := a.Admit(r); err != nil {
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
