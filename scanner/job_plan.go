package scanner

import (
	"context"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
	"firescan/scanner/split"
)

// plan cuts the remaining key space into ranges: into equal ones when there is a
// generation that shows how the keys are distributed, else at the folders of the bucket.
func (j *job) plan(ctx context.Context, remaining []keyspace.Range, streams int) []split.PlannedRange {
	if len(remaining) == 0 {
		return nil
	}
	if plan := j.planFromLast(ctx, remaining, streams); plan != nil {
		return plan
	}
	return split.FirstPlan(ctx, j.bucket, string(j.sync.Start), j.space(), remaining, streams)
}

// planFromLast plans by the last generation: exactly, by its shard, when this node has
// it, else by its segments in the catalog. Without a generation it returns nil.
func (j *job) planFromLast(ctx context.Context, remaining []keyspace.Range, streams int) []split.PlannedRange {
	if j.generation.GetFiles() == 0 {
		return nil
	}
	n := split.Parts(j.generation.Files, streams)
	view, err := j.config.Shards.View(ctx, j.sync.DestinationId)
	if err == nil {
		defer view.Release()
		var cuts [][]byte
		if cuts, err = view.Cuts(n); err == nil {
			return split.PlanByKeys(remaining, cuts, float64(j.generation.Files)/float64(n))
		}
	}
	log := j.config.Logger.With("sync", j.sync.Id)
	log.Debug("planning the scan by the segments of the last generation", "reason", err)
	var segments []*pb.Segment
	if err := j.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		segments, err = tx.Segments(j.generation.Id)
		return err
	}); err != nil {
		log.Warn("reading the last generation failed; planning the scan without it", "error", err)
		return nil
	}
	return split.PlanBySegments(remaining, segments, n)
}
