package catalog

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// A destination decides by which stem rule its records link files. Links are stored by the stem
// of FirstDot whatever the rule, since that of KnownSuffix begins with it; the rule is a filter
// when links are compared with keys. The records of a deleted destination link by FirstDot,
// which links more.

// StemRule returns the rule by which the records of a destination link files.
func StemRule(d *pb.Destination) keyspace.StemRule {
	if d.GetStemRule() == pb.StemRule_KNOWN_SUFFIX {
		return keyspace.KnownSuffix
	}
	return keyspace.FirstDot
}

// stemRules finds the rules of links within one transaction, and keeps them by destination.
type stemRules struct {
	tx   *Tx
	last []byte // the storage id of the last link
	rule keyspace.StemRule
	all  map[string]keyspace.StemRule
}

func (r *stemRules) of(l *Link) (keyspace.StemRule, error) {
	if r.all != nil && bytes.Equal(l.StorageID, r.last) {
		return r.rule, nil
	}
	rule, known := r.all[string(l.StorageID)]
	if !known {
		d, err := load[pb.Destination](r.tx.bucket(inDestinations), l.StorageID)
		if err != nil {
			return keyspace.FirstDot, err
		}
		if d.GetOrg() == string(l.Org) {
			rule = StemRule(d)
		}
		if r.all == nil {
			r.all = map[string]keyspace.StemRule{}
		}
		r.all[string(l.StorageID)] = rule
	}
	r.last, r.rule = append(r.last[:0], l.StorageID...), rule
	return rule, nil
}

// checkStemRule refuses a change of the rule by which the records of a destination link files
// if they would begin to link more, while files that they could link are being deleted.
func checkStemRule(tx *writeTx, org, destID string, from, to keyspace.StemRule) error {
	if from == to || to != keyspace.FirstDot || loadCounters(tx.read, org, destID).Backups == 0 {
		return nil
	}
	for _, bucketID := range withAliases(tx.read, linkBuckets(tx.read, org)) {
		err := checkPrefixUnmarked(tx, bucketID, org, nil)
		if errors.Is(err, ErrBeingDeleted) {
			return refuse(CodeBeingDeleted, "files of a bucket in which storage destination %q has backups are being deleted: try again when that has finished", destID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noteStemRule notes a change of the rule: every file may be linked otherwise.
func noteStemRule(tx *writeTx, org, destID string, from, to keyspace.StemRule, all deltas) {
	if from == to || loadCounters(tx.read, org, destID).Backups == 0 {
		return
	}
	for _, bucketID := range linkBuckets(tx.read, org) {
		all.of(bucketID).Prefixes = append(all.of(bucketID).Prefixes, []byte{})
	}
}

// linkBuckets returns the buckets in which records of an organization may be linked: the homes
// of all its destinations, since a record may name a file in the bucket of another one.
func linkBuckets(tx *Tx, org string) []string {
	var all []string
	for rest := range scan(tx.bucket(inHomes), under(org)) {
		_, bucketID, _ := strings.Cut(string(rest), "\x00")
		all = append(all, bucketID)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
