package catalog

import (
	pb "firescan/catalog/catalogpb"
)

// The homes of a destination are the buckets in which its backup records are linked: its
// current bucket, and earlier ones in which it held records. Editing or deleting a
// destination leaves its files where they are, and nothing shows that they are no longer
// needed. So links stay in every home until the record is deleted, and homes until the
// last record is.

// addHome makes a bucket a home of a destination and links the records of the destination
// there. A million records take some seconds; it happens only when the bucket of a
// destination in use is changed.
func addHome(tx *writeTx, d *pb.Destination, all deltas) error {
	bucketID := BucketID(d)
	if err := addPitrPrefixes(tx, d, bucketID, all); err != nil {
		return err
	}
	home := join(d.GetOrg(), d.GetId(), bucketID)
	if tx.bucket(inHomes).Get(home) != nil {
		return nil
	}
	if err := tx.bucket(inHomes).Put(home, []byte{}); err != nil {
		return err
	}
	if loadCounters(tx.read, d.GetOrg(), d.GetId()).Backups == 0 {
		return nil
	}
	links, err := tx.bucket(inLinks).CreateBucketIfNotExists([]byte(bucketID))
	if err != nil {
		return err
	}
	seed := linkSeed(bucketID)
	records := backupKind().of(d.GetOrg(), d.GetId())
	for k, v := range scan(tx.nested(records.bucket, records.nested), nil) {
		record, err := parse[pb.Backup](k, v)
		if err != nil {
			return err
		}
		for _, l := range recordLinks(record) {
			if l.bucketID != "" {
				continue // it is linked where it lies, whatever the destination
			}
			key := l.key(record)
			if err := links.Put(key, withChecksum(nil, seed, key, []byte(record.GetStorageId()))); err != nil {
				return err
			}
		}
	}
	// There are too many stems to list: everything may have changed.
	all.of(bucketID).Prefixes = append(all.of(bucketID).Prefixes, []byte{})
	return nil
}

// dropHomes drops the homes that a destination no longer needs: all but its current
// bucket, once it has no records. The destination may be deleted already.
func dropHomes(tx *writeTx, org, destID string) error {
	if loadCounters(tx.read, org, destID).Backups > 0 {
		return nil
	}
	own := ""
	d, deleted, err := tx.read.known(org, destID)
	if err != nil {
		return err
	}
	if deleted && loadCounters(tx.read, org, destID) == (Counters{}) {
		if err := tx.bucket(inTombstones).Delete(join(org, destID)); err != nil {
			return err
		}
	} else if d != nil {
		own = BucketID(d)
	}
	for _, bucketID := range homeBuckets(tx.read, org, destID) {
		if bucketID == own {
			continue
		}
		if err := tx.bucket(inHomes).Delete(join(org, destID, bucketID)); err != nil {
			return err
		}
	}
	return nil
}
