package scanner

import (
	"sync"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// rateShares limit this node to its part of the rate of each bucket while it scans: the
// least part of its scans.
type rateShares struct {
	set func(d *pb.Destination, part float64) // nil: there is no rate to share

	mu       sync.Mutex
	byBucket map[string]map[uint64]float64 // by bucket and run
}

// update records that a run shares the bucket with so many nodes; 0 ends that.
func (r *rateShares) update(d *pb.Destination, run uint64, nodes uint32) {
	if r.set == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byBucket == nil {
		r.byBucket = map[string]map[uint64]float64{}
	}
	id := catalog.BucketID(d)
	runs := r.byBucket[id]
	if runs == nil {
		runs = map[uint64]float64{}
		r.byBucket[id] = runs
	}
	if nodes == 0 {
		delete(runs, run)
	} else {
		part := 1 / float64(nodes)
		if runs[run] == part {
			return
		}
		runs[run] = part
	}
	least := 1.0
	for _, part := range runs {
		least = min(least, part)
	}
	if len(runs) == 0 {
		delete(r.byBucket, id)
	}
	r.set(d, least)
}
