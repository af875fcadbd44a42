package catalog

import (
	pb "firescan/catalog/catalogpb"
)

// The homes of a destination are the buckets that its backup records are linked
// in: its own, and those that it had while it held records. A destination that
// is edited or deleted leaves its files where they are, and nothing tells that
// they are not needed any more. So links stay in every home until the record
// goes, and the homes until the last record does.

// homes lists the bucket identities of a destination, sorted.
func (tx *Tx) homes(org, destID string) []string {
	return keysOf(tx.bucket(inHomes), under(org, destID))
}

// moveIn makes a bucket one of a destination's homes and links there what the
// destination already holds. A million records take some seconds; it happens
// only when the bucket of a destination in use is changed.
func (b *batch) moveIn(d *pb.Destination, all deltas) error {
	bucketID := BucketID(d)
	if err := b.movePitrIn(d, bucketID, all); err != nil {
		return err
	}
	home := join(d.GetOrg(), d.GetId(), bucketID)
	if b.bucket(inHomes).Get(home) != nil {
		return nil
	}
	if err := b.bucket(inHomes).Put(home, []byte{}); err != nil {
		return err
	}
	if b.counters(d.GetOrg(), d.GetId()).Backups == 0 {
		return nil
	}
	links, err := b.bucket(inLinks).CreateBucketIfNotExists([]byte(bucketID))
	if err != nil {
		return err
	}
	records := backupShelf().of(d.GetOrg(), d.GetId())
	for k, v := range scan(b.nested(records.bucket, records.nested), nil) {
		record, err := parse[pb.Backup](k, v)
		if err != nil {
			return err
		}
		for _, key := range linkKeys(record) {
			if err := links.Put(key, []byte(record.GetStorageId())); err != nil {
				return err
			}
		}
	}
	// Too many stems to list: everything may have changed.
	all.of(bucketID).Prefixes = append(all.of(bucketID).Prefixes, []byte{})
	return nil
}

// movePitrIn remembers the prefixes of the destination's PITR configurations in
// its bucket.
func (b *batch) movePitrIn(d *pb.Destination, bucketID string, all deltas) error {
	configs, err := b.Pitrs(d.GetOrg(), d.GetId())
	if err != nil {
		return err
	}
	for _, p := range configs {
		if err := b.rememberPrefix(p, bucketID, all); err != nil {
			return err
		}
	}
	return nil
}

// moveOut forgets the homes of a destination that it does not need: all but its
// own bucket, once it holds no records. The destination may be deleted already.
func (b *batch) moveOut(org, destID string) error {
	if b.counters(org, destID).Backups > 0 {
		return nil
	}
	own := ""
	d, err := load[pb.Destination](b.bucket(inDestinations), []byte(destID))
	if err != nil {
		return err
	}
	if d != nil && d.GetOrg() == org {
		own = BucketID(d)
	}
	for _, bucketID := range b.homes(org, destID) {
		if bucketID == own {
			continue
		}
		if err := b.bucket(inHomes).Delete(join(org, destID, bucketID)); err != nil {
			return err
		}
	}
	return nil
}
