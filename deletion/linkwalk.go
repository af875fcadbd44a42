package deletion

import (
	"bytes"
	"context"
	"slices"

	"firescan/catalog"
)

// unscanned calls fn with the claims of the records of destinations without a listing. They
// are found by their links in the bucket.
func (d *Deleter) unscanned(ctx context.Context, l *listings, org string, fn func([]claim) error) error {
	if len(l.unlisted) == 0 {
		return nil
	}
	walk := linkWalk{listings: l, org: org, wants: func(link *catalog.Link) bool {
		return l.unlisted[storage{string(link.Org), string(link.StorageID)}] != nil
	}}
	for _, walk.bucketID = range l.identities {
		for from, more := []byte(nil), true; more; {
			var page []claim
			if err := d.config.Catalog.View(func(tx *catalog.Tx) (err error) {
				page, from, err = walk.page(tx, from)
				return err
			}); err != nil {
				return err
			}
			if more = from != nil; ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := fn(page); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxDeltas bounds the deltas of which the records are read in one transaction.
const maxDeltas = 16

// younger calls fn with the claims of the records that were written after the delta since of a
// bucket identity: deltas have the stems of what they name.
func (d *Deleter) younger(ctx context.Context, l *listings, org, bucketID string, since uint64, wants func(*catalog.Link) bool, fn func([]claim) error) error {
	walk := linkWalk{listings: l, org: org, bucketID: bucketID, wants: wants}
	for more := true; more; {
		var page []claim
		if err := d.config.Catalog.View(func(tx *catalog.Tx) error {
			deltas, err := tx.Deltas(bucketID, since, maxDeltas)
			if err != nil {
				return err
			}
			var stems [][]byte
			for _, delta := range deltas {
				since, stems = delta.Index, append(stems, delta.Delta.GetStems()...)
			}
			more = len(deltas) == maxDeltas
			slices.SortFunc(stems, bytes.Compare)
			page, err = walk.ofStems(tx, slices.CompactFunc(stems, bytes.Equal))
			return err
		}); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
}

// news states which records an operation has not looked at.
type news struct {
	some  bool              // there are some
	all   bool              // they cannot be distinguished
	until map[string]uint64 // by identity of the bucket, the index of its last delta
}

// newRecords returns what is new since the last time.
func (op *operation) newRecords(tx *catalog.Tx) (n news, err error) {
	n = news{all: op.looked == nil, until: map[string]uint64{}}
	for _, id := range tx.Identities(op.destination) {
		n.until[id] = tx.LastDelta(id)
		looked, known := op.looked[id]
		from, kept, err := tx.DeltasFrom(id)
		if err != nil {
			return n, err
		}
		n.all = n.all || !known || kept && from > looked
		for at := looked; !n.all && !n.some && at < n.until[id]; {
			deltas, err := tx.Deltas(id, at, maxDeltas)
			if err != nil {
				return n, err
			}
			for _, d := range deltas {
				at, n.some = d.Index, n.some || len(d.Delta.GetStems()) > 0
			}
		}
	}
	n.some = n.some || n.all
	return n, nil
}

// A linkWalk finds what the links of a bucket name and no scan has seen.
type linkWalk struct {
	listings      *listings
	org, bucketID string
	wants         func(*catalog.Link) bool // the destinations whose records count
	found         int                      // claims so far
}

// maxSteps bounds the links that are read in one transaction, but for those of one stem.
const maxSteps = 100_000

// page returns the claims of the links from a stem on, and the stem from which to go on, nil
// at the end.
func (w *linkWalk) page(tx *catalog.Tx, from []byte) (page []claim, next []byte, err error) {
	var stem []byte
	steps := 0
	links := tx.LinksFor(w.bucketID, w.org)
	for l, ok := links.Seek(from); ok; l, ok = links.Next() {
		if steps++; (steps > maxSteps || len(page) >= claimPage) && !bytes.Equal(l.Stem, stem) {
			next = bytes.Clone(l.Stem)
			break
		}
		stem = append(stem[:0], l.Stem...)
		page = w.appendClaim(page, l)
	}
	if err := links.Err(); err != nil {
		return nil, nil, err
	}
	page, err = w.unseen(tx, page)
	return page, next, err
}

// ofStems returns the claims of the links of stems.
func (w *linkWalk) ofStems(tx *catalog.Tx, stems [][]byte) ([]claim, error) {
	var page []claim
	links := tx.LinksFor(w.bucketID, w.org)
	for _, stem := range stems {
		for l, ok := links.Seek(stem); ok && bytes.Equal(l.Stem, stem); l, ok = links.Next() {
			page = w.appendClaim(page, l)
		}
	}
	if err := links.Err(); err != nil {
		return nil, err
	}
	return w.unseen(tx, page)
}

func (w *linkWalk) appendClaim(page []claim, l *catalog.Link) []claim {
	if l.Kind == catalog.LinkPrefix || !w.wants(l) {
		return page
	}
	s, key := storage{string(l.Org), string(l.StorageID)}, bytes.Clone(l.Path)
	return append(page, claim{
		owner: owner{s.org, string(l.BackupID)}, storageID: s.id,
		location: key, keys: [][]byte{key}, here: [][]byte{key}, state: claimUnscanned,
	})
}

// unseen returns the claims of a page that no scan has seen, in order of their keys.
func (w *linkWalk) unseen(tx *catalog.Tx, page []claim) ([]claim, error) {
	slices.SortFunc(page, func(a, b claim) int { return bytes.Compare(a.location, b.location) })
	seen, err := w.listings.seesKeys(w.bucketID, page)
	if err != nil {
		return nil, err
	}
	unseen := page[:0]
	for i, c := range page {
		// Beyond those that are looked up, one reading too many does no harm.
		if !seen[i] && w.found < maxUnseen {
			if seen[i], err = w.seesOtherwise(tx, &c); err != nil {
				return nil, err
			}
		}
		if !seen[i] {
			unseen = append(unseen, c)
			w.found++
		}
	}
	return unseen, nil
}

// seesOtherwise reports whether a scan has listed another reading of the location of a claim.
func (w *linkWalk) seesOtherwise(tx *catalog.Tx, c *claim) (bool, error) {
	b, err := tx.Backup(c.org, c.backup)
	if err != nil {
		return false, err
	}
	isClaim := func(r catalog.Reading) bool { return r.BucketID == w.bucketID && bytes.Equal(r.Key, c.location) }
	for _, o := range tx.Objects(w.listings.destination(storage{c.org, c.storageID}), b) {
		if slices.ContainsFunc(o.Readings, isClaim) {
			if seen, err := w.listings.sees(o.Readings); seen || err != nil {
				return seen, err
			}
		}
	}
	return false, nil
}
