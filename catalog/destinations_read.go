package catalog

import (
	"errors"

	pb "firescan/catalog/catalogpb"
)

// Destination returns one destination.
func (tx *Tx) Destination(org, id string) (*pb.Destination, error) {
	d, err := load[pb.Destination](tx.bucket(inDestinations), []byte(id))
	if err == nil && (d == nil || d.GetOrg() != org) {
		err = notFound("storage destination", id)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Destinations returns the destinations of an organization by id.
func (tx *Tx) Destinations(org string) ([]*pb.Destination, error) {
	var all []*pb.Destination
	for id := range scan(tx.bucket(inDestinationsByOrg), under(org)) {
		d, err := load[pb.Destination](tx.bucket(inDestinations), id)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// AllDestinations returns the destinations of all organizations by id.
func (tx *Tx) AllDestinations() ([]*pb.Destination, error) {
	return list[pb.Destination](tx.bucket(inDestinations), nil, "", 0)
}

// homeBuckets returns the identities of the home buckets of a destination, sorted (see
// addHome).
func homeBuckets(tx *Tx, org, destID string) []string {
	return keysOf(tx.bucket(inHomes), under(org, destID))
}

// known returns a destination or its tombstone, nil when there is none.
func (tx *Tx) known(org, id string) (d *pb.Destination, deleted bool, err error) {
	if d, err = tx.Destination(org, id); err == nil || !errors.Is(err, ErrNotFound) {
		return d, false, err
	}
	d, err = load[pb.Destination](tx.bucket(inTombstones), join(org, id))
	return d, d != nil, err
}
