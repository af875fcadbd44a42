package scanner

import (
	"sync"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// paces keep each bucket's rate of calls at the part of it that is this node's while it
// scans: the least that one of its scans was told.
type paces struct {
	set func(d *pb.Destination, part float64) // nil: there is nothing to set

	mu       sync.Mutex
	byBucket map[string]map[uint64]float64 // by bucket and run
}

// claim says that a run shares the bucket among so many nodes; 0 is no claim any more.
func (p *paces) claim(d *pb.Destination, run uint64, nodes uint32) {
	if p.set == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byBucket == nil {
		p.byBucket = map[string]map[uint64]float64{}
	}
	id := catalog.BucketID(d)
	runs := p.byBucket[id]
	if runs == nil {
		runs = map[uint64]float64{}
		p.byBucket[id] = runs
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
		delete(p.byBucket, id)
	}
	p.set(d, least)
}
