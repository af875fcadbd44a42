package catalog

import (
	"bytes"

	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// A mark says that a file is being deleted: the intent of a deletion has it, and no
// record may come to link it. Marks lie in a bucket per bucket identity, under the
// object key; that bucket is there only while it holds one, so that records cost
// nothing more where nothing is being deleted.

// Marked reports whether a file of a bucket is being deleted (see BucketID).
func (tx *Tx) Marked(bucketID string, path []byte) bool {
	marks := tx.nested(inMarks, bucketID)
	return marks != nil && marks.Get(path) != nil
}

func (b *batch) mark(n *pb.Intent) error {
	if len(n.GetPaths()) == 0 {
		return nil
	}
	marks, err := b.bucket(inMarks).CreateBucketIfNotExists([]byte(n.GetBucketId()))
	if err != nil {
		return err
	}
	for _, path := range n.GetPaths() {
		if err := marks.Put(path, join(n.GetOrg(), n.GetId())); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) unmark(n *pb.Intent) error {
	marks := b.nested(inMarks, n.GetBucketId())
	if marks == nil {
		return nil // it had no paths
	}
	for _, path := range n.GetPaths() {
		if err := marks.Delete(path); err != nil {
			return err
		}
	}
	if k, _ := marks.Cursor().First(); k != nil {
		return nil
	}
	return b.bucket(inMarks).DeleteBucket([]byte(n.GetBucketId()))
}

// checkClaim refuses a backup record that would link a file which is being deleted, in
// any of the buckets that it is linked in.
func (f *feed) checkClaim(s *storage, r *pb.Backup) error {
	for _, bucketID := range s.homes {
		marks := f.nested(inMarks, bucketID)
		if marks == nil {
			continue
		}
		if p := r.GetStoragePath(); len(p) > 0 {
			if marked := markedStem(marks, keyspace.Stem(p)); marked != nil {
				return beingDeleted(marked)
			}
		}
		for _, p := range r.GetFiles() {
			if marks.Get(p) != nil {
				return beingDeleted(p)
			}
		}
	}
	return nil
}

// checkClaimUnder refuses a prefix under which a file of the bucket is being deleted.
func (b *batch) checkClaimUnder(bucketID string, prefix []byte) error {
	for rest := range scan(b.nested(inMarks, bucketID), prefix) {
		return beingDeleted(append(bytes.Clone(prefix), rest...))
	}
	return nil
}

// markedStem finds a marked file of a stem: the stem itself, or what follows it after a
// '.' in the same folder.
func markedStem(marks *bbolt.Bucket, stem []byte) []byte {
	if marks.Get(stem) != nil {
		return stem
	}
	dotted := append(bytes.Clone(stem), '.')
	for rest := range scan(marks, dotted) {
		if !bytes.Contains(rest, []byte{'/'}) {
			return append(dotted, rest...)
		}
	}
	return nil
}

func beingDeleted(path []byte) error {
	return refuse(CodeBeingDeleted, "%q is being deleted: try again when that has finished", path)
}
