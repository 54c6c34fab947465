package eos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fenced says whether err, met in a transaction that is age old, means that another process runs under this instance id. Such a process must not be
// fenced in turn, or the two would do it for ever.
//
// A group coordinator that answers FENCED_INSTANCE_ID leaves no doubt. The transaction's errors do: the broker answers PRODUCER_FENCED and
// INVALID_PRODUCER_EPOCH as well when it has aborted a transaction that took longer than its timeout, because we stood still. So a transaction within its
// timeout was taken over, by whom the group knows; a later one was timed out.
func (m *member) fenced(ctx context.Context, err error, age time.Duration) bool {
	switch {
	case errors.Is(err, kerr.FencedInstanceID):
		return true
	case age >= m.p.cfg.TransactionTimeout:
		return false
	case errors.Is(err, kerr.ProducerFenced):
		return true
	case errors.Is(err, kerr.InvalidProducerEpoch):
		return m.replaced(ctx)
	default:
		return false
	}
}

// replaced asks the group, for a few seconds, whether another member has taken this instance id. The other process takes the transactional id and joins
// the group at about the same time, in either order.
func (m *member) replaced(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.InstanceID = m.p.group, kmsg.StringPtr(m.p.instance)
		req.MemberID, req.Generation = m.cl.GroupMetadata()
		resp, err := req.RequestWith(ctx, m.cl)
		if err == nil && errors.Is(kerr.ErrorForCode(resp.ErrorCode), kerr.FencedInstanceID) {
			return true
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			return false
		}
	}
}

// fencedError is what Run returns for it.
func (p *Processor) fencedError(cause error) error {
	return fmt.Errorf("group %s: %w (%s): stop one of the two, or give each its own --instance and state directory: %w",
		p.group, ErrFenced, p.instance, cause)
}
