package catalog

import (
	"bytes"
	"cmp"
	"slices"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// An Overlap is a set of destinations in one bucket whose key spaces overlap. Key spaces are
// folders, so the first one contains the others.
type Overlap struct {
	Destinations []string
	// CountedIn maps the id of each destination whose files are among those of another one
	// to the id of that one.
	CountedIn map[string]string
}

// Overlaps returns the sets of destinations that overlap, so that totals count each file once:
// the destinations without an entry in CountedIn together have every file, and none twice.
// syncedAt maps destinations that have a generation to its time. A destination without one
// counts no file and hides none; of equal key spaces the one with the newest generation counts.
func (tx *Tx) Overlaps(all []*pb.Destination, syncedAt map[string]int64) []Overlap {
	type folder struct {
		id, bucket string
		start, end []byte
	}
	buckets := canonicalBuckets(tx)
	folders := make([]folder, 0, len(all))
	for _, d := range all {
		f := folder{id: d.GetId(), bucket: cmp.Or(buckets[BucketID(d)], BucketID(d))}
		f.start, f.end = KeySpace(d)
		folders = append(folders, f)
	}
	slices.SortFunc(folders, func(a, b folder) int {
		// A shorter start contains the longer ones that begin with it.
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), bytes.Compare(a.start, b.start),
			cmp.Compare(syncedAt[b.id], syncedAt[a.id]), cmp.Compare(a.id, b.id))
	})
	contains := func(outer *folder, f folder) bool {
		return outer != nil && outer.bucket == f.bucket && keyspace.BeforeEnd(f.start, outer.end)
	}
	var overlaps []Overlap
	var outer, counted *folder // the last outermost one, and the last one that counts files
	for i, f := range folders {
		if contains(outer, f) {
			if last := len(overlaps) - 1; last < 0 || overlaps[last].Destinations[0] != outer.id {
				overlaps = append(overlaps, Overlap{Destinations: []string{outer.id}, CountedIn: map[string]string{}})
			}
			last := &overlaps[len(overlaps)-1]
			last.Destinations = append(last.Destinations, f.id)
		} else {
			outer = &folders[i]
		}
		if contains(counted, f) {
			overlaps[len(overlaps)-1].CountedIn[f.id] = counted.id
		} else if syncedAt[f.id] != 0 {
			counted = &folders[i]
		}
	}
	return overlaps
}

// canonicalBuckets maps each bucket identity that a probe has found to be the bucket of another
// one to the least of all identities of that bucket.
func canonicalBuckets(tx *Tx) map[string]string {
	least := map[string]string{}
	for a, b := range sameBuckets(tx) {
		one, other := cmp.Or(least[a], a), cmp.Or(least[b], b)
		least[a], least[b] = one, other
		for id, to := range least {
			if to == one || to == other {
				least[id] = min(one, other)
			}
		}
	}
	return least
}
