package cluster

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"utopia/schemas"
)

// AwaitSchema reads a record again, once a second, while its schema cannot be looked up: who keeps what a log says leaves nothing out because the registry
// is away. It returns ctx's error when that ends first, else read's.
func AwaitSchema(ctx context.Context, log *slog.Logger, read func() error) error {
	for ctx.Err() == nil {
		err := read()
		if !errors.Is(err, schemas.ErrRegistryDown) {
			return err
		}
		log.Warn("the schema of a record cannot be looked up; waiting", slog.Any("error", err))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return ctx.Err()
}
