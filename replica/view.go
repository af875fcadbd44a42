package replica

import (
	"context"
	"errors"
	"fmt"

	"firescan/index"
)

// ErrUnavailable is returned by View for a shard that exists and cannot be read now: a
// segment was set aside, or the disk has no room for the changes.
var ErrUnavailable = errors.New("the index of the destination cannot be read at the moment")

// View returns a view of a destination's shard that has all changes in the catalog of this
// node at the time of the call. The caller releases it. The error is index.ErrNoShard before
// the first generation and where only other nodes have the shard, else it wraps
// ErrUnavailable.
func (r *Replicator) View(_ context.Context, destination string) (*index.View, error) {
	view, err := (*index.View)(nil), r.update(destination, false)
	if err == nil {
		view, err = r.config.Index.View(destination)
	}
	if err != nil && !errors.Is(err, index.ErrNoShard) {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return view, err
}
