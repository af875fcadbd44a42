package deletion

import (
	"bytes"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// FilesRequest asks for the deletion of files of a destination.
type FilesRequest struct {
	// Destination is as read from the catalog.
	Destination *pb.Destination
	// Who is recorded in the audit.
	Who   string
	Paths [][]byte
}

// DeleteFiles deletes the orphans among paths that are still as the index has them. It
// returns an outcome for each path, in order; a path that is given twice has the same one
// twice. Before the first sync of the destination, links and the bucket alone decide. The
// error is the reason why nothing was started.
//
// When ctx ends, started batches run to their end and the rest is not started.
func (d *Deleter) DeleteFiles(ctx context.Context, r FilesRequest) ([]Outcome, error) {
	paths := slices.Clone(r.Paths)
	slices.SortFunc(paths, bytes.Compare)
	paths = slices.CompactFunc(paths, bytes.Equal)
	candidates, err := d.candidates(ctx, r.Destination.Id, paths)
	if err != nil {
		return nil, err
	}
	listed := !slices.ContainsFunc(candidates, func(c *candidate) bool { return !c.known })
	op, err := d.begin(ctx, r.Destination, r.Who, listed)
	if err != nil {
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(d.limits.batches)
	for _, b := range op.split(candidates) {
		group.Go(func() error { return op.run(ctx, b) })
	}
	if err := group.Wait(); err != nil && !op.hasStarted() {
		return nil, err
	}
	outcomes := make([]Outcome, len(r.Paths))
	for i, path := range r.Paths {
		at, _ := slices.BinarySearchFunc(candidates, path, func(c *candidate, path []byte) int { return bytes.Compare(c.path, path) })
		outcomes[i] = candidates[at].outcome()
	}
	return outcomes, nil
}

// candidates looks up the index entries of paths, which are sorted.
func (d *Deleter) candidates(ctx context.Context, destination string, paths [][]byte) ([]*candidate, error) {
	view, err := d.view(ctx, destination)
	if err != nil {
		return nil, err
	}
	if view != nil {
		defer view.Release()
	}
	candidates := make([]*candidate, len(paths))
	for i, path := range paths {
		candidates[i] = &candidate{path: path}
		if view == nil {
			continue
		}
		if _, _, err := view.Query(index.Query{Prefix: path, Limit: 1}, func(e *index.Entry) bool {
			if bytes.Equal(e.Path, path) {
				candidates[i].expect(e)
			}
			return false
		}); err != nil {
			return nil, err
		}
	}
	return candidates, nil
}
