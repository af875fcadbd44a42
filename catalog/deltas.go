package catalog

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	pb "firescan/catalog/catalogpb"
)

// An IndexedDelta is a delta with the index of the log entry that made it.
type IndexedDelta struct {
	Index uint64
	Delta *pb.Delta
}

// Deltas returns the deltas of a bucket in ascending order, from the first whose index is
// greater than after; limit <= 0 returns all.
func (tx *Tx) Deltas(bucketID string, after uint64, limit int) ([]IndexedDelta, error) {
	var all []IndexedDelta
	for k, v := range scanAfter(tx.nested(inDeltas, bucketID), nil, string(index8(after))) {
		d, err := parse[pb.Delta](k, v)
		if err != nil {
			return nil, err
		}
		if all = append(all, IndexedDelta{binary.BigEndian.Uint64(k), d}); len(all) == limit {
			break
		}
	}
	return all, nil
}

// LastDelta returns the index of the newest delta of a bucket, 0 when there is none.
func (tx *Tx) LastDelta(bucketID string) uint64 {
	b := tx.nested(inDeltas, bucketID)
	if b == nil {
		return 0
	}
	k, _ := b.Cursor().Last()
	if k == nil {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

// deltas collects what one command changes for the files of each bucket.
type deltas map[string]*pb.Delta

func (d deltas) of(bucketID string) *pb.Delta {
	if d[bucketID] == nil {
		d[bucketID] = &pb.Delta{}
	}
	return d[bucketID]
}

// putDeltas stores one delta per bucket at the index of the command. It skips buckets
// without a generation or a running sync: the next sync looks up every file anyway.
func putDeltas(tx *writeTx, all deltas) error {
	for _, bucketID := range slices.Sorted(maps.Keys(all)) {
		_, watched, err := tx.read.DeltasFrom(bucketID)
		if err != nil {
			return err
		}
		if !watched {
			continue
		}
		d := all[bucketID]
		sortDelta(d)
		into, err := tx.bucket(inDeltas).CreateBucketIfNotExists([]byte(bucketID))
		if err != nil {
			return err
		}
		if err := store(into, index8(tx.index), d); err != nil {
			return err
		}
	}
	return nil
}

// sortDelta sorts the lists of a delta and removes duplicates.
func sortDelta(d *pb.Delta) {
	for _, list := range []*[][]byte{&d.Stems, &d.Prefixes, &d.Deleted} {
		slices.SortFunc(*list, bytes.Compare)
		*list = slices.CompactFunc(*list, bytes.Equal)
	}
}

// DeltasFrom returns the index after which all deltas of a bucket are kept, because a generation
// or a running sync needs them; kept is false when it has neither.
func (tx *Tx) DeltasFrom(bucketID string) (index uint64, kept bool, err error) {
	need := func(n uint64) {
		if !kept || n < index {
			index, kept = n, true
		}
	}
	for dest := range scan(tx.bucket(inDestinationsByBucket), under(bucketID)) {
		g, err := load[pb.Generation](tx.bucket(inGenerations), dest)
		if err != nil {
			return 0, false, err
		}
		if g != nil {
			need(g.GetClassifiedAt())
		}
		if id := runningSyncID(tx, string(dest)); id != "" {
			s, err := load[pb.Sync](tx.bucket(inSyncs), []byte(id))
			if err != nil {
				return 0, false, err
			}
			need(s.GetStartedIndex())
		}
	}
	return index, kept, nil
}

// pruneDeltas deletes the deltas of a bucket that no generation or running sync needs.
func pruneDeltas(tx *writeTx, bucketID string) error {
	in := tx.nested(inDeltas, bucketID)
	if in == nil {
		return nil
	}
	oldest, needed, err := tx.read.DeltasFrom(bucketID)
	if err != nil {
		return err
	}
	if !needed {
		return tx.bucket(inDeltas).DeleteBucket([]byte(bucketID))
	}
	for _, k := range keysOf(in, nil) {
		if binary.BigEndian.Uint64([]byte(k)) > oldest {
			break
		}
		if err := in.Delete([]byte(k)); err != nil {
			return err
		}
	}
	return nil
}
