package catalog

import (
	"bytes"
	"cmp"
	"slices"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// PitrPrefixes returns, sorted and without duplicates, the prefixes of a bucket that protect
// files from org: those that a PITR configuration writes under or ever wrote under, of org
// itself or of an organization that has listed the bucket, also in the form under which a server
// may list what is there (keyspace.Fold).
func (tx *Tx) PitrPrefixes(bucketID, org string) ([][]byte, error) {
	return tx.pitrPrefixes(bucketID, tx.authority(bucketID, org))
}

// OwnPitrPrefixes is PitrPrefixes without those of other organizations.
func (tx *Tx) OwnPitrPrefixes(bucketID, org string) ([][]byte, error) {
	return tx.pitrPrefixes(bucketID, alone(org))
}

func (tx *Tx) pitrPrefixes(bucketID string, counts *authority) ([][]byte, error) {
	var all [][]byte
	of := under(bucketID)
	for k, v := range scan(tx.bucket(inPrefixes), of) {
		parts := bytes.SplitN(k, []byte{0}, 3)
		if _, ok := cutChecksum(0, append(of[:len(of):len(of)], k...), v); !ok || len(parts) < 3 {
			return nil, damaged("the checksum of a prefix of PITR configuration %q is wrong", k)
		}
		if of, err := counts.has(parts[0]); err != nil {
			return nil, err
		} else if !of {
			continue
		}
		all = append(all, bytes.Clone(parts[2]))
		if fold, other := keyspace.Folded(parts[2]); other {
			all = append(all, fold)
		}
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal), nil
}

// A pitrPrefix is a prefix of a bucket.
type pitrPrefix struct {
	bucketID string
	prefix   []byte
}

// pitrPrefixes returns the prefixes that a configuration means while bucketID is the bucket
// of its destination.
func pitrPrefixes(p *pb.Pitr, bucketID string) []pitrPrefix {
	if len(p.GetReferences()) == 0 {
		return []pitrPrefix{{bucketID, p.GetPrefix()}}
	}
	var all []pitrPrefix
	for _, ref := range p.GetReferences() {
		all = append(all, pitrPrefix{cmp.Or(ref.GetBucketId(), bucketID), ref.GetKey()})
	}
	return all
}

// checkPitrUnmarked refuses a configuration under whose prefixes a file is being deleted.
func checkPitrUnmarked(tx *writeTx, p *pb.Pitr, bucketID string) error {
	for _, in := range pitrPrefixes(p, bucketID) {
		for _, id := range withAliases(tx.read, []string{in.bucketID}) {
			if err := checkPrefixUnmarked(tx, id, p.GetOrg(), in.prefix); err != nil {
				return err
			}
		}
	}
	return nil
}

// addPitrPrefix records, once, that a configuration writes under its prefixes in a bucket.
func addPitrPrefix(tx *writeTx, p *pb.Pitr, bucketID string, all deltas) error {
	for _, in := range pitrPrefixes(p, bucketID) {
		key := join(in.bucketID, p.GetOrg(), p.GetId(), string(in.prefix))
		if tx.bucket(inPrefixes).Get(key) != nil {
			continue
		}
		d := all.of(in.bucketID)
		d.Prefixes = append(d.Prefixes, in.prefix)
		if err := firstError(
			tx.bucket(inPrefixes).Put(key, withChecksum(nil, 0, key, nil)),
			tx.bucket(inPrefixesByPitr).Put(join(p.GetOrg(), p.GetId(), in.bucketID, string(in.prefix)), []byte{}),
		); err != nil {
			return err
		}
	}
	return nil
}

// addPitrPrefixes records the prefixes of all PITR configurations of a destination for
// its bucket.
func addPitrPrefixes(tx *writeTx, d *pb.Destination, bucketID string, all deltas) error {
	configs, err := tx.read.Pitrs(d.GetOrg(), d.GetId())
	if err != nil {
		return err
	}
	for _, p := range configs {
		if err := addPitrPrefix(tx, p, bucketID, all); err != nil {
			return err
		}
	}
	return nil
}
