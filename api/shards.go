package api

import (
	"context"
	"errors"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// Shards opens the index of destinations.
type Shards interface {
	View(ctx context.Context, destination string) (*index.View, error)
}

// shards opens the shards of this node for handlers.
type shards struct {
	views Shards
	syncs *syncs
}

// shard is the open index of a destination for one request.
type shard struct {
	destination *pb.Destination
	bucketID    string
	meta        freshness
	// view is nil before the first sync of the destination.
	view *index.View
}

func (sh *shard) release() {
	if sh.view != nil {
		sh.view.Release()
	}
}

// open opens the index of the destination in the path, after a sync with force.
func (h *shards) open(c *call, force bool) (*shard, error) {
	d, err := c.readDestination()
	if err != nil {
		return nil, err
	}
	forced := ""
	if force {
		if forced, err = h.syncs.force(c, d); err != nil {
			return nil, err
		}
	}
	sh := &shard{destination: d, bucketID: catalog.BucketID(d)}
	if err := c.backend.catalog.View(func(tx *catalog.Tx) (err error) {
		sh.meta, err = h.syncs.freshness(tx, c.backend.now(), d)
		sh.meta.Cached = forced == "" || sh.meta.generation != forced
		return err
	}); err != nil {
		return nil, err
	}
	if sh.view, err = h.view(c.context(), d, sh.meta); err != nil {
		return nil, err
	}
	return sh, nil
}

// view opens the shard of a destination, nil before its first sync. A missing shard of
// a synced destination is an error: an empty result would mean that its bucket is
// empty.
func (h *shards) view(ctx context.Context, d *pb.Destination, f freshness) (*index.View, error) {
	view, err := h.views.View(ctx, d.Id)
	if errors.Is(err, index.ErrNoShard) && f.LastSyncAt == 0 {
		return nil, nil //nolint:nilnil // no shard is a result, not a failure
	}
	return view, err
}
