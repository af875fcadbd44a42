package catalog

import (
	"strings"

	pb "firescan/catalog/catalogpb"
)

// A Claimant is a destination whose records may name objects in the bucket of another one.
type Claimant struct {
	// Destination has nothing but Org and Id when a version without tombstones deleted it.
	Destination *pb.Destination
	Deleted     bool
}

// Claimants returns the destinations with records that affect d in its bucket: those of the
// same organization, and those of others that have listed the bucket, wherever they lie.
func (tx *Tx) Claimants(d *pb.Destination) (all []Claimant, err error) {
	proven, err := tx.provenOrgs(BucketID(d))
	if err != nil {
		return nil, err
	}
	last := ""
	for home := range scan(tx.bucket(inHomes), nil) { // every destination with records has one
		org, rest, _ := strings.Cut(string(home), "\x00")
		id, _, _ := strings.Cut(rest, "\x00")
		key := org + "\x00" + id
		if key == last || org != d.GetOrg() && !proven[everybody] && !proven[org] {
			continue
		}
		last = key
		if loadCounters(tx, org, id).Backups == 0 {
			continue
		}
		other, deleted, err := tx.known(org, id)
		if err != nil {
			return nil, err
		}
		if other == nil {
			other, deleted = &pb.Destination{Org: org, Id: id}, true
		}
		all = append(all, Claimant{other, deleted})
	}
	return all, nil
}

// Identities returns the identities of the bucket of d: its own first, and those that a probe
// has found to be the same bucket.
func (tx *Tx) Identities(d *pb.Destination) []string { return withAliases(tx, []string{BucketID(d)}) }
