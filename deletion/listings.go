package deletion

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/keyspace"
)

// listings are what the last scans have listed of the destinations whose records may name
// objects in the bucket of one of them.
type listings struct {
	identities []string // of the bucket
	own        *listing // nil before the first sync
	all        []*listing
	// unlisted are the destinations of which links show what no scan has looked for: without a
	// listing (never synced since they lie where they do, deleted, or with a shard on other
	// nodes only), and those in another bucket with records that are younger than theirs.
	unlisted map[storage]*pb.Destination
	listed   map[storage]*listing
	strays   uint64 // records with files that no scan of the destination looks for
}

// A listing is that of one destination.
type listing struct {
	destination *pb.Destination
	bucketID    string
	start, end  []byte
	startedAt   int64
	// classifiedAt is the catalog index from which on deltas have what the scan does not know.
	classifiedAt uint64
	// view is nil when the shard is not on this node and no record was missing.
	view *index.View
}

type storage struct{ org, id string }

// listings opens the listings of others, besides that of dest, of which view is nil before the
// first sync. Release them before the view.
func (d *Deleter) listings(ctx context.Context, dest *pb.Destination, view *index.View, others []catalog.Claimant) (*listings, error) {
	l := &listings{unlisted: map[storage]*pb.Destination{}, listed: map[storage]*listing{}}
	generations, last := map[string]*pb.Generation{}, map[string]uint64{}
	if err := d.config.Catalog.View(func(tx *catalog.Tx) error {
		l.identities = tx.Identities(dest)
		for _, c := range append([]catalog.Claimant{{Destination: dest}}, others...) {
			g, err := tx.Generation(c.Destination.Id)
			if err != nil && !errors.Is(err, catalog.ErrNotFound) {
				return err
			}
			if err == nil && !c.Deleted && g.Revision == c.Destination.Revision {
				generations[c.Destination.Id] = g
				last[c.Destination.Id] = tx.LastDelta(catalog.BucketID(c.Destination))
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if view != nil {
		l.own = l.add(dest, generations[dest.Id], view)
	}
	for _, c := range others {
		other, g := c.Destination, generations[c.Destination.Id]
		if other.Id == dest.Id && view != nil {
			continue
		}
		var found *index.View
		if g != nil && other.Id != dest.Id {
			var err error
			if found, err = d.config.Shards.View(ctx, other.Id); err != nil && g.Missing > 0 {
				g = nil
			}
		}
		if g == nil || other.Id == dest.Id {
			l.unlisted[storage{other.Org, other.Id}] = other
		} else if n := l.add(other, g, found); !l.isHere(n.bucketID) && last[other.Id] > n.classifiedAt {
			l.unlisted[storage{other.Org, other.Id}] = other
		}
	}
	return l, nil
}

// classifiedAt returns the catalog index after which deltas have all records of the listed
// destinations in a bucket that their scans do not know; past every delta if there are none.
func (l *listings) classifiedAt(bucketID string) uint64 {
	at := uint64(math.MaxUint64)
	for _, n := range l.all {
		if n.bucketID == bucketID {
			at = min(at, n.classifiedAt)
		}
	}
	return at
}

// ownListings opens the listings that a plan compares with: that of the destination, and where
// not all files of its records are in it, those of the other destinations of the organization.
func (d *Deleter) ownListings(ctx context.Context, view *index.View, dest *pb.Destination) (*listings, error) {
	var others []catalog.Claimant
	strays := uint64(0)
	if err := d.config.Catalog.View(func(tx *catalog.Tx) error {
		if strays = tx.CountStrays(dest.Org, dest.Id); strays+countMissing(view) == 0 {
			return nil
		}
		all, err := tx.Destinations(dest.Org)
		for _, other := range all {
			others = append(others, catalog.Claimant{Destination: other})
		}
		return err
	}); err != nil {
		return nil, err
	}
	l, err := d.listings(ctx, dest, view, others)
	if err == nil {
		l.strays = strays
	}
	return l, err
}

// countMissing returns the number of backups without a file in a view.
func countMissing(view *index.View) (n uint64) {
	for _, s := range view.Segments() {
		n += uint64(s.Missing)
	}
	return n
}

func (l *listings) add(dest *pb.Destination, g *pb.Generation, view *index.View) *listing {
	n := &listing{destination: dest, bucketID: catalog.BucketID(dest), startedAt: g.GetStartedAt(), classifiedAt: g.GetClassifiedAt(), view: view}
	n.start, n.end = catalog.KeySpace(dest)
	l.all = append(l.all, n)
	l.listed[storage{dest.Org, dest.Id}] = n
	return n
}

// destination returns a destination as the listings know it.
func (l *listings) destination(s storage) *pb.Destination {
	if d := l.unlisted[s]; d != nil {
		return d
	}
	if n := l.listed[s]; n != nil {
		return n.destination
	}
	return &pb.Destination{Org: s.org, Id: s.id} // it is newer
}

func (l *listings) release() {
	for _, n := range l.all {
		if n.view != nil && n != l.own {
			n.view.Release()
		}
	}
}

// same reports whether two identities are one bucket, as far as that of the listings goes.
func (l *listings) same(a, b string) bool { return a == b || l.isHere(a) && l.isHere(b) }

// isHere reports whether an identity is that of the bucket.
func (l *listings) isHere(bucketID string) bool { return slices.Contains(l.identities, bucketID) }

// covers reports whether a scan has looked for what a reading means.
func (l *listings) covers(n *listing, r catalog.Reading) bool {
	end := r.Key
	if r.Prefix {
		if end = keyspace.PrefixEnd(r.Key); len(n.end) > 0 && (len(end) == 0 || bytes.Compare(end, n.end) > 0) {
			return false
		}
	} else if !keyspace.BeforeEnd(end, n.end) {
		return false
	}
	return bytes.Compare(r.Key, n.start) >= 0 && l.same(n.bucketID, r.BucketID)
}

// sees reports whether a scan has listed what one of the readings means.
func (l *listings) sees(readings []catalog.Reading) (bool, error) {
	for _, r := range readings {
		for _, n := range l.all {
			if n.view == nil || !l.same(n.bucketID, r.BucketID) {
				continue
			}
			if seen, err := n.view.Sees(r.Key, r.Prefix); seen || err != nil {
				return seen, err
			}
		}
	}
	return false, nil
}

// seesKeys reports which of the keys of claims, in ascending order, a scan has listed in a bucket.
func (l *listings) seesKeys(bucketID string, claims []claim) ([]bool, error) {
	seen := make([]bool, len(claims))
	for _, n := range l.all {
		if n.view != nil && l.same(n.bucketID, bucketID) {
			if err := markSeen(n.view, claims, seen); err != nil {
				return nil, err
			}
		}
	}
	return seen, nil
}

// maxGap is the number of entries between two keys from which on looking up the second one
// is cheaper than reading on.
const maxGap = 512

func markSeen(view *index.View, claims []claim, seen []bool) error {
	for i := 0; i < len(claims); {
		first, gap := i, 0
		_, more, err := view.Query(index.Query{Cursor: before(claims[i].location)}, func(e *index.Entry) bool {
			for i < len(claims) && bytes.Compare(claims[i].location, e.Path) < 0 {
				i++
			}
			gap++
			for i < len(claims) && bytes.Equal(claims[i].location, e.Path) {
				seen[i] = true
				i, gap = i+1, 0
			}
			return i < len(claims) && (gap < maxGap || i == first)
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// before returns a key less than key, with few keys or none in between.
func before(key []byte) []byte {
	last := len(key) - 1
	if key[last] == 0 {
		return key[:last]
	}
	return append(append(make([]byte, 0, last+2), key[:last]...), key[last]-1, 0xff)
}
