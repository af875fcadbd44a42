package catalog

import (
	"strings"

	pb "firescan/catalog/catalogpb"
)

// formerPeers returns, like BucketPeers, the buckets that destinations have had and in which
// their records are still linked: those of tombstones, and earlier ones of destinations that
// were moved. They can be compared no more; what was found out before counts on.
func (tx *Tx) formerPeers(d *pb.Destination) (peers []BucketPeer, err error) {
	own := BucketID(d)
	for key := range scan(tx.bucket(inHomes), nil) {
		org, rest, _ := strings.Cut(string(key), "\x00")
		id, bucketID, _ := strings.Cut(rest, "\x00")
		if bucketID == own || !mayBeOne(own, bucketID) || org == d.GetOrg() && id == d.GetId() {
			continue // the records of d itself are linked in each of its homes
		}
		other, deleted, err := tx.known(org, id)
		switch {
		case err != nil:
			return nil, err
		case other == nil: // deleted by a version without tombstones
			other = &pb.Destination{Org: org, Id: id}
		case !deleted && BucketID(other) == bucketID:
			continue // one of BucketPeers
		}
		if org != d.GetOrg() {
			listed := other.GetVerified()
			if tx.proofsDecide() {
				listed = tx.bucket(inProofs).Get(join(bucketID, id)) != nil
			}
			if !listed {
				continue
			}
		}
		relation, err := loadChecked[pb.BucketRelation](tx.bucket(inMeta), relationKey(own, bucketID))
		if err != nil {
			return nil, err
		}
		peers = append(peers, BucketPeer{Destination: other, BucketID: bucketID, Settled: relation != nil, Same: relation.GetSame()})
	}
	return peers, nil
}

// checkFormer is CheckIdentity for the former peers of d.
func (tx *Tx) checkFormer(d *pb.Destination) (aliases []string, err error) {
	peers, err := tx.formerPeers(d)
	if err != nil {
		return nil, err
	}
	for _, p := range peers {
		switch {
		case !p.Settled && p.Destination.GetOrg() == d.GetOrg():
			return nil, refuse(CodeUnsettled, "storage destination %q has backups in the bucket where it lay before, which may be the bucket of %q under another endpoint, so nothing is deleted: delete the records of these backups, or move %q back and verify it",
				p.Destination.GetId(), d.GetId(), p.Destination.GetId())
		case !p.Settled:
			// Of another organization, which has no destination there anymore that a
			// probe could use: it must not stop deletes for good.
		case p.Same:
			aliases = append(aliases, p.BucketID)
		}
	}
	return aliases, nil
}
