package deletion

import (
	"bytes"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/keyspace"
)

// strayPage is the number of records with strays that are read at once.
const strayPage = 1000

// A stray is an object of a backup record that no scan of its destination looks for: after an
// edit of the destination, or because the record names another place. Its file may have been
// moved to where the destination lies now, so that it counts like a missing one.
type stray struct {
	record   *pb.Backup
	location []byte
	keys     [][]byte // what the location may mean, without folders
	here     [][]byte // those of them that may be in the bucket of the destination
}

// strays calls fn with the strays of a destination, those of some records at a time. An object
// that the view has under another meaning of its location is none.
func (d *Deleter) strays(view *index.View, dest *pb.Destination, fn func([]stray) error) error {
	for after, more := "", true; more; {
		var page []stray
		if err := d.config.Catalog.View(func(tx *catalog.Tx) error {
			records, err := tx.Strays(dest.Org, dest.Id, after, strayPage)
			if err != nil {
				return err
			}
			for _, b := range records {
				if page, err = appendStrays(page, tx, view, dest, b); err != nil {
					return err
				}
				after = b.Id
			}
			more = len(records) == strayPage
			return nil
		}); err != nil {
			return err
		}
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
}

func appendStrays(list []stray, tx *catalog.Tx, view *index.View, dest *pb.Destination, b *pb.Backup) ([]stray, error) {
	own := catalog.BucketID(dest)
	start, end := catalog.KeySpace(dest)
	scanned := func(r catalog.Reading) bool {
		return r.BucketID == own && bytes.Compare(r.Key, start) >= 0 && keyspace.BeforeEnd(r.Key, end)
	}
	for _, o := range tx.Objects(dest, b) {
		known := scanned(o.Readings[0]) // it is missing if it was not seen
		for _, r := range o.Readings[1:] {
			if known || !scanned(r) {
				continue
			}
			var err error
			if known, err = view.Sees(r.Key, r.Prefix); err != nil {
				return nil, err
			}
		}
		if known {
			continue
		}
		s := stray{record: b, location: o.Location}
		for _, r := range o.Readings {
			if r.Prefix {
				continue
			}
			s.keys = append(s.keys, r.Key)
			if r.BucketID == "" || tx.SameBucket(own, r.BucketID) {
				s.here = append(s.here, r.Key)
			}
		}
		list = append(list, s)
	}
	return list, nil
}
