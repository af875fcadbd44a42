package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	pb "firescan/catalog/catalogpb"
)

// A record remembers the revision of its destination when it was written, and a destination
// where it lay at each revision. So an edit of a destination does not re-aim the records that
// it has: their files are where they were.

// maxKeptPlaces bounds the earlier places of a destination.
const maxKeptPlaces = 100

// placeOf returns where a destination lies now.
func placeOf(d *pb.Destination) *pb.Place {
	return &pb.Place{
		Revision: d.GetRevision(), Type: d.GetType(), Bucket: d.GetBucket(), Path: d.GetPath(),
		Region: d.GetRegion(), Endpoint: d.GetEndpoint(),
	}
}

// settingsAt returns the settings of a destination at a place.
func settingsAt(d *pb.Destination, p *pb.Place) *pb.Destination {
	return &pb.Destination{
		Org: d.GetOrg(), Id: d.GetId(), Revision: p.GetRevision(), Type: p.GetType(), Bucket: p.GetBucket(), Path: p.GetPath(),
		Region: p.GetRegion(), Endpoint: p.GetEndpoint(),
	}
}

// DestinationAt returns the settings, without credentials, of a destination at a revision,
// nil when they are not known.
func DestinationAt(d *pb.Destination, revision uint64) *pb.Destination {
	if revision == d.GetRevision() {
		return settingsAt(d, placeOf(d))
	}
	for _, p := range d.GetPlaces() {
		if p.GetRevision() == revision {
			return settingsAt(d, p)
		}
	}
	return nil
}

// WrittenIn returns the identity of the bucket of d in which the files of a record are. It
// returns false when that is unknown: the record was written by an older version, and the
// destination has had several buckets since.
func (tx *Tx) WrittenIn(d *pb.Destination, b *pb.Backup) (bucketID string, known bool) {
	return writtenIn(d, b, func() []string { return homeBuckets(tx, d.GetOrg(), d.GetId()) })
}

func writtenIn(d *pb.Destination, b *pb.Backup, homes func() []string) (bucketID string, known bool) {
	if b.GetRevision() > 0 {
		if then := DestinationAt(d, b.GetRevision()); then != nil {
			return BucketID(then), true
		}
	}
	if all := homes(); len(all) == 1 {
		return all[0], true
	}
	return "", false
}

// keepPlace adds to an edited destination where it lay before.
func keepPlace(d, old *pb.Destination) {
	d.Places = append(slices.Clone(old.GetPlaces()), placeOf(old))
	d.Places = d.Places[max(0, len(d.Places)-maxKeptPlaces):]
}

// An Object is one of the locations that a backup record names.
type Object struct {
	// Location is the location as it was given.
	Location []byte
	// Readings are what it may mean, the most likely first.
	Readings []Reading
}

// A Reading is one meaning of a location.
type Reading struct {
	// BucketID is empty when the bucket is unknown.
	BucketID string
	Key      []byte
	// Prefix reports that all objects whose keys begin with Key are meant.
	Prefix bool
}

// Objects returns the objects that a record of destination d names.
func (tx *Tx) Objects(d *pb.Destination, b *pb.Backup) []Object {
	own, _ := tx.WrittenIn(d, b)
	return objects(b, own)
}

// ObjectAt returns the object of a record of d whose most likely reading is a key in the bucket
// of d, nil when there is none.
func (tx *Tx) ObjectAt(d *pb.Destination, backupID string, key []byte) (*Object, error) {
	b, err := tx.Backup(d.GetOrg(), backupID)
	if errors.Is(err, ErrNotFound) || err == nil && b.GetStorageId() != d.GetId() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	own := BucketID(d)
	for _, o := range tx.Objects(d, b) {
		if r := o.Readings[0]; r.BucketID == own && bytes.Equal(r.Key, key) {
			return &o, nil
		}
	}
	return nil, nil
}

// objects returns the objects of a record whose own bucket is known.
func objects(b *pb.Backup, own string) (list []Object) {
	locations := slices.Concat([][]byte{b.GetStoragePath()}, b.GetFiles())
	if len(b.GetReferences()) == 0 {
		for _, l := range locations {
			if len(l) > 0 {
				list = append(list, Object{Location: l, Readings: []Reading{{BucketID: own, Key: l}}})
			}
		}
		return list
	}
	byLocation := map[uint32]int{}
	for _, ref := range b.GetReferences() {
		n := ref.GetLocation()
		i, known := byLocation[n]
		if k := ref.GetKind(); n == 0 { // of an older version: each begins with its most likely reading
			known = len(list) > 0 && k != pb.Reference_PATH && k != pb.Reference_FILE
			i = len(list) - 1
		}
		if !known {
			i = len(list)
			byLocation[n] = i
			o := Object{Location: ref.GetKey()}
			if n > 0 && int(n) <= len(locations) {
				o.Location = locations[n-1]
			}
			list = append(list, o)
		}
		r := Reading{BucketID: ref.GetBucketId(), Key: ref.GetKey(), Prefix: ref.GetKind() == pb.Reference_PREFIX}
		if r.BucketID == "" {
			r.BucketID = own
		}
		list[i].Readings = append(list[i].Readings, r)
	}
	return list
}

// CheckWrittenIn returns an *Error of code CodeMoved unless all objects that a record of d
// names are in the bucket in which d lies now: the destination was moved since, or the record
// names another bucket. An object of the same name in the present bucket is another one.
func (tx *Tx) CheckWrittenIn(d *pb.Destination, b *pb.Backup) error {
	const further = "move the storage destination back to delete them, or delete the record without its files"
	own := BucketID(d)
	in, known := tx.WrittenIn(d, b)
	switch {
	case !known:
		return refuse(CodeMoved, "it is not known in which bucket the files of backup %q are, because storage destination %q has been moved to bucket %q: delete the record without its files",
			b.GetId(), d.GetId(), d.GetBucket())
	case !tx.SameBucket(own, in):
		return refuse(CodeMoved, "the files of backup %q are in bucket %s, where storage destination %q lay before, not in bucket %q: %s",
			b.GetId(), describeBucket(in), d.GetId(), d.GetBucket(), further)
	}
	for _, o := range objects(b, in) {
		if r := o.Readings[0]; !tx.SameBucket(own, r.BucketID) {
			return refuse(CodeMoved, "%q of backup %q is in bucket %s, not in that of storage destination %q: delete the record without its files, then the file in that bucket",
				clip(string(o.Location)), b.GetId(), describeBucket(r.BucketID), d.GetId())
		}
	}
	return nil
}

// describeBucket returns a bucket identity for a message.
func describeBucket(id string) string {
	space, where, name := cutBucketID(id)
	if where == "" {
		return fmt.Sprintf("%q (%s)", name, space)
	}
	return fmt.Sprintf("%q (%s at %s)", name, space, where)
}
