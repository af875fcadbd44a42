package replica

import (
	"context"
	"fmt"
	"slices"

	pb "firescan/catalog/catalogpb"
)

// replicate starts fetching what this node should hold of a destination's shard, and returns
// the changes to announce. It removes nothing: collect does, after the change is announced.
func (r *Replicator) replicate(ctx context.Context, d *pb.Destination, results []*result, g nodeSet) (changes []*pb.SetHolder, err error) {
	node, desired := r.config.Node, g.desired(d.Id)
	mine := slices.Contains(desired, node)
	for _, res := range results {
		held, replicated := res.hasHolder(node), g.replicated(res, desired)
		if !mine && !held && replicated {
			continue
		}
		missing, complete, err := r.missingSegments(d.Id, res)
		if err != nil {
			return changes, fmt.Errorf("read the segments of destination %s: %w", d.Id, err)
		}
		change := func(complete bool) {
			changes = append(changes, &pb.SetHolder{Node: node, DestinationId: d.Id, Generation: res.id, Whole: complete})
		}
		switch {
		case held && len(missing) > 0, held && res.promoted && !mine && replicated:
			change(false)
		case !held && complete && (mine || !replicated):
			change(true)
		}
		if mine && len(missing) > 0 {
			r.startFetch(ctx, d, res, missing, g)
		}
	}
	return changes, nil
}
