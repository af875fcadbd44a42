package scanner

import (
	"context"
	"fmt"

	pb "firescan/catalog/catalogpb"
)

// maxFacts bounds the segments of one command well below the greatest log entry:
// two keys of 1,024 bytes each and some numbers.
const maxFacts = 100

// recorder brings sealed segments into the catalog: those that are sealed while a
// command is under way go together into the next.
type recorder struct {
	proposer Proposer
	syncID   string
	queue    chan *pb.Segment
}

// record hands a sealed segment over; it waits while the catalog is behind.
func (r *recorder) record(ctx context.Context, s *pb.Segment) error {
	select {
	case r.queue <- s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run proposes what is recorded until the queue is closed and empty.
func (r *recorder) run(ctx context.Context) error {
	for first := range r.queue {
		facts := &pb.SealSegments{SyncId: r.syncID, Segments: []*pb.Segment{first}}
		for len(facts.Segments) < min(maxFacts, 1+len(r.queue)) {
			facts.Segments = append(facts.Segments, <-r.queue)
		}
		if _, err := r.proposer.Propose(ctx, facts); err != nil {
			return fmt.Errorf("record %d segments of sync %s: %w", len(facts.Segments), r.syncID, err)
		}
	}
	return nil
}
