package deletion

import (
	"bytes"
	"errors"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// claimPage is the number of records that are read in one transaction.
const claimPage = 1000

// A claim is an object of a backup record that no scan has listed under any of its names.
type claim struct {
	owner

	size      int64    // of the backup
	storageID string   // of its destination
	location  []byte   // as the record gives it
	keys      [][]byte // what the location may mean, without folders
	here      [][]byte // those of them that may be in the bucket
	state     claimState
}

type claimState uint8

const (
	// claimMissing is where a scan has looked for the object.
	claimMissing claimState = iota
	// claimSeen is missing as one reading of its location, and was seen as another one.
	claimSeen
	// claimStray is where no scan of the record's destination looks for it: after an edit of
	// the destination, or because the record names another place. The file may have been moved
	// to where the destination lies now.
	claimStray
	// claimUnscanned is where its destination has no listing, or one that is older than the
	// record.
	claimUnscanned
)

// claims calls fn with the claims of the records of a listed destination, some at a time. Of
// an object that the listing n has looked for, it believes its list of missing ones.
func (d *Deleter) claims(l *listings, n *listing, fn func([]claim) error) error {
	for after, more := []byte(nil), n.view != nil; more; {
		list, next, err := n.view.Missing("", after, claimPage)
		if err != nil {
			return err
		}
		if err := d.claimsOf(l, list, n, fn); err != nil {
			return err
		}
		after, more = next, next != nil
	}
	return d.strays(l, n, fn)
}

// claimsOf calls fn with the objects that a listing has looked for and not seen.
func (d *Deleter) claimsOf(l *listings, list []index.Missing, n *listing, fn func([]claim) error) error {
	var page []claim
	if err := d.config.Catalog.View(func(tx *catalog.Tx) error {
		for _, m := range list {
			b, err := tx.Backup(string(m.Org), string(m.BackupID))
			if errors.Is(err, catalog.ErrNotFound) {
				continue // it was deleted since
			}
			if err != nil {
				return err
			}
			o, state, err := l.missing(tx, n, b, m.Path)
			if err != nil {
				return err
			}
			page = append(page, l.claim(b, o, state))
		}
		return nil
	}); err != nil {
		return err
	}
	return fn(page)
}

// missing returns the object of a record that a listing has as missing, and whether a scan has
// listed it all the same: under another reading of its location, or as a folder.
func (l *listings) missing(tx *catalog.Tx, n *listing, b *pb.Backup, key []byte) (catalog.Object, claimState, error) {
	object := catalog.Object{Location: key, Readings: []catalog.Reading{{BucketID: n.bucketID, Key: key}}}
	for _, o := range tx.Objects(n.destination, b) {
		if r := o.Readings[0]; r.BucketID == n.bucketID && bytes.Equal(r.Key, key) {
			object = o
			break
		}
	}
	if seen, err := l.sees(object.Readings); seen || err != nil {
		return object, claimSeen, err
	}
	return object, claimMissing, nil
}

// strays calls fn with the objects of records of a destination that its scans do not look for.
// One that another scan has looked for and not seen is missing.
func (d *Deleter) strays(l *listings, n *listing, fn func([]claim) error) error {
	for after, more := "", true; more; {
		var page []claim
		if err := d.config.Catalog.View(func(tx *catalog.Tx) error {
			records, err := tx.Strays(n.destination.Org, n.destination.Id, after, claimPage)
			if err != nil {
				return err
			}
			for _, b := range records {
				for _, o := range tx.Objects(n.destination, b) {
					if l.covers(n, o.Readings[0]) {
						continue // it is missing if it was not seen
					}
					seen, err := l.sees(o.Readings)
					if err != nil {
						return err
					}
					if !seen {
						page = append(page, l.claim(b, o, l.stateOf(b, o)))
					}
				}
				after = b.Id
			}
			more = len(records) == claimPage
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

// stateOf returns the state of an object that its own destination does not look for.
func (l *listings) stateOf(b *pb.Backup, o catalog.Object) claimState {
	for _, n := range l.all {
		if l.covers(n, o.Readings[0]) && b.CreatedAt < n.startedAt {
			return claimMissing
		}
	}
	return claimStray
}

func (l *listings) claim(b *pb.Backup, o catalog.Object, state claimState) claim {
	c := claim{owner: owner{b.Org, b.Id}, size: b.Size, storageID: b.StorageId, location: o.Location, state: state}
	for _, r := range o.Readings {
		if r.Prefix || state == claimSeen {
			continue
		}
		c.keys = append(c.keys, r.Key)
		if l.isHere(r.BucketID) || r.BucketID == "" {
			c.here = append(c.here, r.Key)
		}
	}
	return c
}
