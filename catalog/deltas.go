package catalog

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	pb "firescan/catalog/catalogpb"
)

// deltas collects what one command changes for the files of each bucket.
type deltas map[string]*pb.Delta

func (d deltas) of(bucketID string) *pb.Delta {
	if d[bucketID] == nil {
		d[bucketID] = &pb.Delta{}
	}
	return d[bucketID]
}

// putDeltas stores one delta a bucket, at the index of the command. Without a
// generation or a running sync nobody would read it: the next sync looks up
// every file anyway.
func (b *batch) putDeltas(all deltas) error {
	for _, bucketID := range slices.Sorted(maps.Keys(all)) {
		_, watched, err := b.oldestNeed(bucketID)
		if err != nil {
			return err
		}
		if !watched {
			continue
		}
		d := all[bucketID]
		for _, list := range []*[][]byte{&d.Stems, &d.Prefixes, &d.Deleted} {
			slices.SortFunc(*list, bytes.Compare)
			*list = slices.CompactFunc(*list, bytes.Equal)
		}
		into, err := b.bucket(inDeltas).CreateBucketIfNotExists([]byte(bucketID))
		if err != nil {
			return err
		}
		if err := store(into, index8(b.index), d); err != nil {
			return err
		}
	}
	return nil
}

// oldestNeed is the index after which deltas of a bucket are needed by one of
// its generations or running syncs; needed is false when it has neither.
func (b *batch) oldestNeed(bucketID string) (index uint64, needed bool, err error) {
	need := func(n uint64) {
		if !needed || n < index {
			index, needed = n, true
		}
	}
	for dest := range scan(b.bucket(inDestinationsByBucket), under(bucketID)) {
		g, err := load[pb.Generation](b.bucket(inGenerations), dest)
		if err != nil {
			return 0, false, err
		}
		if g != nil {
			need(g.GetClassifiedAt())
		}
		if id := b.running(string(dest)); id != "" {
			s, err := load[pb.Sync](b.bucket(inSyncs), []byte(id))
			if err != nil {
				return 0, false, err
			}
			need(s.GetStartedIndex())
		}
	}
	return index, needed, nil
}

// pruneDeltas drops the deltas of a bucket that nobody needs any more.
func (b *batch) pruneDeltas(bucketID string) error {
	in := b.nested(inDeltas, bucketID)
	if in == nil {
		return nil
	}
	oldest, needed, err := b.oldestNeed(bucketID)
	if err != nil {
		return err
	}
	if !needed {
		return b.bucket(inDeltas).DeleteBucket([]byte(bucketID))
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
