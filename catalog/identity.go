package catalog

import (
	"iter"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// The text of two endpoints does not show whether they lead to one server: a name and its
// address, two names, a proxy. So two destinations whose buckets have one name, at least one
// of them at a custom endpoint, may be one bucket until a probe has compared them: an object
// that is written through one is looked up through the other. Until then nothing is deleted
// in either, because the links of one do not protect files from the other.

// A BucketPeer is a destination that may be, or is, in the bucket of another one.
type BucketPeer struct {
	Destination *pb.Destination
	BucketID    string
	// Settled reports that a probe has compared the buckets, and Same its result.
	Settled, Same bool
}

// BucketPeers returns the destinations, of all organizations, with another bucket identity
// whose bucket may be that of d. A destination counts once its own credentials have listed
// its bucket; for its own organization it counts at once.
func (tx *Tx) BucketPeers(d *pb.Destination) (peers []BucketPeer, err error) {
	own := BucketID(d)
	for key := range scan(tx.bucket(inDestinationsByBucket), nil) {
		bucketID, id, _ := strings.Cut(string(key), "\x00")
		if bucketID == own || !mayBeOne(own, bucketID) {
			continue
		}
		other, err := load[pb.Destination](tx.bucket(inDestinations), []byte(id))
		if err != nil {
			return nil, err
		}
		if other == nil {
			continue
		}
		if other.GetOrg() != d.GetOrg() {
			if listed, err := tx.hasListed(other); err != nil {
				return nil, err
			} else if !listed {
				continue
			}
		}
		relation, err := loadChecked[pb.BucketRelation](tx.bucket(inMeta), relationKey(own, bucketID))
		if err != nil {
			return nil, err
		}
		peers = append(peers, BucketPeer{other, bucketID, relation != nil, relation.GetSame()})
	}
	return peers, nil
}

// CheckIdentity returns an *Error of code CodeUnsettled while the bucket of d may be that of
// another destination, and otherwise the other identities of its bucket.
func (tx *Tx) CheckIdentity(d *pb.Destination) (aliases []string, err error) {
	peers, err := tx.BucketPeers(d)
	if err != nil {
		return nil, err
	}
	for _, p := range peers {
		switch {
		case !p.Settled && p.Destination.GetOrg() == d.GetOrg():
			return nil, refuse(CodeUnsettled, "storage destinations %q and %q may be one bucket under two endpoints, so nothing is deleted: verify one of them to find out",
				d.GetId(), p.Destination.GetId())
		case !p.Settled:
			return nil, refuse(CodeUnsettled, "the bucket of storage destination %q may be in use under another endpoint, so nothing is deleted: verify it to find out", d.GetId())
		case p.Same:
			aliases = append(aliases, p.BucketID)
		}
	}
	former, err := tx.checkFormer(d)
	return append(aliases, former...), err
}

// withAliases returns bucket identities and those that a probe has found to be the same
// buckets, each once.
func withAliases(tx *Tx, ids []string) []string {
	all := slices.Clone(ids)
	for a, b := range sameBuckets(tx) {
		for _, pair := range [][2]string{{a, b}, {b, a}} {
			if slices.Contains(ids, pair[0]) && !slices.Contains(all, pair[1]) {
				all = append(all, pair[1])
			}
		}
	}
	return all
}

// sameBuckets returns the pairs of bucket identities that a probe has found to be one bucket.
func sameBuckets(tx *Tx) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for rest, value := range scan(tx.bucket(inMeta), under(metaRelation)) {
			var relation pb.BucketRelation
			key := append(under(metaRelation), rest...)
			// What cannot be read counts as one bucket, because that protects.
			if value, ok := cutChecksum(0, key, value); ok && proto.Unmarshal(value, &relation) == nil && !relation.GetSame() {
				continue
			}
			a, b, _ := strings.Cut(string(rest), "\x00")
			if !yield(a, b) {
				return
			}
		}
	}
}

// mayBeOne reports whether two identities, which differ, may be one bucket: the names are
// equal and one has an endpoint that is not a vendor's own.
func mayBeOne(a, b string) bool {
	spaceA, whereA, nameA := cutBucketID(a)
	spaceB, whereB, nameB := cutBucketID(b)
	custom := func(space, where string) bool { return where != "" && space != "do-spaces" }
	return nameA == nameB && (custom(spaceA, whereA) || custom(spaceB, whereB))
}

func relationKey(a, b string) []byte { return join(metaRelation, min(a, b), max(a, b)) }

func setBucketRelation(tx *writeTx, m *pb.SetBucketRelation) (*pb.Result, error) {
	id, other := canonicalID(m.GetBucketId()), canonicalID(m.GetOtherId())
	if !mayBeOne(id, other) || id == other {
		return nil, refuse(CodeInvalid, "buckets %q and %q cannot be one", m.GetBucketId(), m.GetOtherId())
	}
	return &pb.Result{}, storeChecked(tx.bucket(inMeta), relationKey(id, other), &pb.BucketRelation{Same: m.GetSame(), At: m.GetAt()})
}

// SameBucket reports whether two identities are known to be one bucket.
func (tx *Tx) SameBucket(a, b string) bool {
	if a == b {
		return true
	}
	relation, err := loadChecked[pb.BucketRelation](tx.bucket(inMeta), relationKey(a, b))
	return err == nil && relation.GetSame()
}
