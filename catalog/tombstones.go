package catalog

import (
	pb "firescan/catalog/catalogpb"
)

// A tombstone is what is left of a deleted destination while records name it. It takes
// records, so that the feed of the services goes on and what they name stays protected, and
// nothing else. It goes when its last record does.

// Tombstone returns a deleted destination that records still name.
func (tx *Tx) Tombstone(org, id string) (*pb.Destination, error) {
	d, err := load[pb.Destination](tx.bucket(inTombstones), join(org, id))
	if err == nil && d == nil {
		err = notFound("deleted storage destination", id)
	}
	return d, err
}

// Tombstones returns the deleted destinations of an organization that records still name, by
// id.
func (tx *Tx) Tombstones(org string) ([]*pb.Destination, error) {
	return list[pb.Destination](tx.bucket(inTombstones), under(org), "", 0)
}

// KnownDestinations returns the destinations of an organization and its tombstones: those that
// records may name.
func (tx *Tx) KnownDestinations(org string) ([]*pb.Destination, error) {
	all, err := tx.Destinations(org)
	if err != nil {
		return nil, err
	}
	deleted, err := tx.Tombstones(org)
	return append(all, deleted...), err
}

// bury leaves a tombstone of a destination that records name.
func bury(tx *writeTx, d *pb.Destination, at int64) error {
	if at == 0 || loadCounters(tx.read, d.GetOrg(), d.GetId()) == (Counters{}) {
		return nil
	}
	t := &pb.Destination{
		Org: d.GetOrg(), Id: d.GetId(), Name: d.GetName(), Type: d.GetType(), Bucket: d.GetBucket(), Path: d.GetPath(),
		Region: d.GetRegion(), Endpoint: d.GetEndpoint(), Verified: d.GetVerified(), CreatedAt: d.GetCreatedAt(),
		UpdatedAt: d.GetUpdatedAt(), Revision: d.GetRevision(), DeletedAt: at, Places: d.GetPlaces(),
	}
	return store(tx.bucket(inTombstones), join(d.GetOrg(), d.GetId()), t)
}

// continueTombstone lets a destination that is created with the id of a tombstone go on from
// it.
func continueTombstone(tx *writeTx, d *pb.Destination) error {
	t, err := load[pb.Destination](tx.bucket(inTombstones), join(d.GetOrg(), d.GetId()))
	if t == nil || err != nil {
		return err
	}
	d.Revision = t.GetRevision() + 1
	keepPlace(d, t)
	return nil
}
