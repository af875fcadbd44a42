package catalog

import (
	"bytes"
	"slices"

	pb "firescan/catalog/catalogpb"
)

// PitrPrefixes returns, sorted and without duplicates, the prefixes of a bucket that a
// PITR configuration of any organization writes under or ever wrote under.
func (tx *Tx) PitrPrefixes(bucketID string) ([][]byte, error) {
	var all [][]byte
	of := under(bucketID)
	for k, v := range scan(tx.bucket(inPrefixes), of) {
		parts := bytes.SplitN(k, []byte{0}, 3)
		if _, ok := cutChecksum(0, append(of[:len(of):len(of)], k...), v); !ok || len(parts) < 3 {
			return nil, damaged("the checksum of a prefix of PITR configuration %q is wrong", k)
		}
		all = append(all, bytes.Clone(parts[2]))
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal), nil
}

// addPitrPrefix records, once, that a configuration writes under its prefix in a bucket.
func addPitrPrefix(tx *writeTx, p *pb.Pitr, bucketID string, all deltas) error {
	key := join(bucketID, p.GetOrg(), p.GetId(), string(p.GetPrefix()))
	if tx.bucket(inPrefixes).Get(key) != nil {
		return nil
	}
	d := all.of(bucketID)
	d.Prefixes = append(d.Prefixes, p.GetPrefix())
	return firstError(
		tx.bucket(inPrefixes).Put(key, withChecksum(nil, 0, key, nil)),
		tx.bucket(inPrefixesByPitr).Put(join(p.GetOrg(), p.GetId(), bucketID, string(p.GetPrefix())), []byte{}),
	)
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
