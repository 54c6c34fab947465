package cluster

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Leave gives up a place in a group, so that other members take over at once: also that of a static member, which the client alone would
// keep; an empty instance has none, or has lost it. Errors do not matter: the broker is gone, or will notice by itself.
//
// It takes no longer than ctx, which the client alone does not promise: a request waits for those before it on the same connection,
// whatever its context says. One that is left behind ends when the client is closed.
func Leave(ctx context.Context, client *kgo.Client, group, instance string) {
	_ = client.LeaveGroupContext(ctx)
	if instance == "" {
		return
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = kadm.NewClient(client).LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs(instance).Reason("stopped"))
	}()
	select {
	case <-left:
	case <-ctx.Done():
	}
}
