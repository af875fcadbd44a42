package catalog

import (
	"errors"
	"slices"

	pb "firescan/catalog/catalogpb"
)

// A stray is a backup record that names an object which no scan of its destination looks for:
// it lies outside of the destination's path, in another bucket, or where the destination lay
// when the record was written. Nobody knows whether it is missing. Strays are listed, so that
// no record disappears from the missing ones by an edit of its destination.

func straysOf(org, destID string) bucketPath { return bucketPath{inStrays, org + "\x00" + destID} }

// isStray reports whether a record of d, which lies in the bucket own and has had the buckets
// homes, is a stray.
func isStray(d *pb.Destination, own string, b *pb.Backup, homes []string) bool {
	if b.GetRevision() != d.GetRevision() {
		if in, known := writtenIn(d, b, func() []string { return homes }); !known || in != own {
			return true
		}
	}
	if len(b.GetReferences()) == 0 {
		return len(b.GetStoragePath()) > 0 && !inSpace(d, b.GetStoragePath()) ||
			slices.ContainsFunc(b.GetFiles(), func(key []byte) bool { return !inSpace(d, key) })
	}
	return slices.ContainsFunc(objects(b, own), func(o Object) bool {
		return o.Readings[0].BucketID != own || !inSpace(d, o.Readings[0].Key)
	})
}

// setStray notes whether a record of an existing destination is a stray.
func (w *recordWriter) setStray(s *storage, b *pb.Backup) {
	if s.destination != nil && isStray(s.destination, s.bucketID, b, s.homes) {
		w.tx.changes.put(s.straysAt, b.GetId(), []byte{})
		s.hasStrays = true
	} else if s.hasStrays {
		w.tx.changes.put(s.straysAt, b.GetId(), nil)
	}
}

func (w *recordWriter) dropStray(b *pb.Backup) error {
	s, err := w.storage(b.GetStorageId())
	if err == nil && s.hasStrays {
		w.tx.changes.put(s.straysAt, b.GetId(), nil)
	}
	return err
}

// listStrays lists the strays of a destination again, after it was created or moved.
func listStrays(tx *writeTx, d *pb.Destination) error {
	if err := forgetStrays(tx, d.GetOrg(), d.GetId()); err != nil {
		return err
	}
	own, homes := BucketID(d), homeBuckets(tx.read, d.GetOrg(), d.GetId())
	records := backupKind().of(d.GetOrg(), d.GetId())
	for k, v := range scan(tx.nested(records.bucket, records.nested), nil) {
		b, err := parse[pb.Backup](k, v)
		if err != nil {
			return err
		}
		if !isStray(d, own, b, homes) {
			continue
		}
		into, err := tx.bucket(inStrays).CreateBucketIfNotExists([]byte(straysOf(d.GetOrg(), d.GetId()).nested))
		if err != nil {
			return err
		}
		if err := into.Put(k, []byte{}); err != nil {
			return err
		}
	}
	return nil
}

// listAllStrays lists the strays of every destination, in a file of an older version.
func listAllStrays(tx *writeTx) error {
	all, err := tx.read.AllDestinations()
	for _, d := range all {
		err = firstError(err, listStrays(tx, d))
	}
	return err
}

func forgetStrays(tx *writeTx, org, destID string) error {
	at := straysOf(org, destID)
	if tx.nested(at.bucket, at.nested) == nil {
		return nil
	}
	return tx.bucket(at.bucket).DeleteBucket([]byte(at.nested))
}

// Strays returns the strays of a destination by id, after the id after; limit <= 0 returns
// all.
func (tx *Tx) Strays(org, destID, after string, limit int) ([]*pb.Backup, error) {
	at, from := straysOf(org, destID), backupKind().of(org, destID)
	var all []*pb.Backup
	for id := range scanAfter(tx.nested(at.bucket, at.nested), nil, after) {
		b, err := parse[pb.Backup](id, tx.nested(from.bucket, from.nested).Get(id))
		if err != nil {
			return nil, err
		}
		if all = append(all, b); len(all) == limit {
			break
		}
	}
	return all, nil
}

// CountStrays returns the number of strays of a destination.
func (tx *Tx) CountStrays(org, destID string) (n uint64) {
	at := straysOf(org, destID)
	for range scan(tx.nested(at.bucket, at.nested), nil) {
		n++
	}
	return n
}

// MissingBackups returns the number of backups with an object that the last completed sync of
// a destination did not find, and of those with one that it did not look for.
func (tx *Tx) MissingBackups(d *pb.Destination) (missing, notLookedFor uint64, err error) {
	g, err := tx.Generation(d.GetId())
	if errors.Is(err, ErrNotFound) {
		return 0, loadCounters(tx, d.GetOrg(), d.GetId()).Backups, nil
	}
	if err != nil {
		return 0, 0, err
	}
	return g.GetMissing(), tx.CountStrays(d.GetOrg(), d.GetId()), nil
}
