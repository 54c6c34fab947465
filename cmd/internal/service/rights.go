package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/cmd/internal/acl"
	"utopia/processors/kafkaclient"
)

// errRights is the end of a service that may not do what it must.
var errRights = errors.New("refused to start: this principal lacks rights on the cluster")

// waitForRights asks the cluster whether the group's principal may do all that its rights.acl says, so that a right that
// is lacking is one clear sentence at the start, not a transaction that fails whenever a certain output is due. A cluster
// that is down is waited for. It returns nil when ctx ends.
func waitForRights(ctx context.Context, group string, opts []kgo.Opt, log *slog.Logger) error {
	cl, err := kafkaclient.New(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 200*time.Millisecond, 10*time.Second
	for {
		asking, cancel := context.WithTimeout(ctx, 15*time.Second)
		lacking, err := acl.Lacking(asking, cl, acl.Of(group))
		cancel()
		if err == nil {
			return refuse(group, lacking)
		}
		wait := pause.NextBackOff()
		log.Warn("the cluster cannot be asked about rights; trying again", slog.Any("error", err), slog.Duration("next_in", wait.Round(time.Millisecond)))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func refuse(group string, lacking []acl.Right) error {
	if len(lacking) == 0 {
		return nil
	}
	var words []string
	for _, r := range lacking {
		words = append(words, strings.Join(strings.Fields(r.String()), " "))
	}
	return fmt.Errorf("%w: %s; grant them with \"utopia acl apply cmd/%s/rights.acl\"", errRights, strings.Join(words, ", "), group)
}
