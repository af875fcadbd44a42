package node

import (
	"context"
	"errors"
	"fmt"

	"firescan/api"
	"firescan/index"
	"firescan/replica"
)

// shards are the keeper's shards as the API sees them.
type shards struct{ keeper *replica.Keeper }

// View implements api.Shards. Whatever keeps a shard from being brought up to date, a
// segment that was set aside or a disk without room for its changes, is mended
// meanwhile or by the operator: to a client the index is unavailable, and not the
// request at fault.
func (s shards) View(ctx context.Context, destination string) (*index.View, error) {
	view, err := s.keeper.View(ctx, destination)
	if err == nil || errors.Is(err, index.ErrNoShard) || ctx.Err() != nil {
		return view, err
	}
	return nil, fmt.Errorf("%w: %w", api.ErrUnavailable, err)
}
