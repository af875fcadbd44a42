package catalog

import (
	"bytes"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// upgrade changes the content of a file of an older format. What it makes of a state must
// be what this version makes of the log that led to it, because the nodes of a cluster are
// upgraded at different times.
func upgrade(tx *bbolt.Tx, version uint32) error {
	if version < 3 {
		// Version 3 has one identity for all spellings of an endpoint, and checksums, which
		// depend on it.
		return firstError(mergeIdentities(tx), markFolds(tx), listAllStrays(&writeTx{read: &Tx{tx: tx}}), beginChecksums(tx))
	}
	return nil
}

// mergeIdentities renames the identities of buckets that older versions made from another
// spelling of an endpoint. Audit records keep theirs, and so do the references of backup
// records, which are read as they would be made today.
func mergeIdentities(tx *bbolt.Tx) error {
	for name, at := range map[string]int{inDestinationsByBucket: 0, inHomes: 2, inPrefixes: 0, inPrefixesByPitr: 2} {
		if err := renameKeys(tx.Bucket([]byte(name)), at); err != nil {
			return err
		}
	}
	for name, merge := range map[string]func(a, b []byte) ([]byte, error){
		inLinks:  func(a, _ []byte) ([]byte, error) { return a, nil }, // the same link
		inMarks:  func(a, b []byte) ([]byte, error) { return slices.Concat(a, []byte{0}, b), nil },
		inDeltas: mergeDeltas,
	} {
		if err := renameNested(tx.Bucket([]byte(name)), merge); err != nil {
			return err
		}
	}
	intents := tx.Bucket([]byte(inIntents))
	for _, key := range keysOf(intents, nil) {
		n, err := load[pb.Intent](intents, []byte(key))
		if err != nil {
			return err
		}
		if id := canonicalID(n.GetBucketId()); id != n.GetBucketId() {
			n.BucketId = id
			if err := store(intents, []byte(key), n); err != nil {
				return err
			}
		}
	}
	return mergeRelations(tx.Bucket([]byte(inMeta)))
}

// markFolds adds the marks of open intents under the names that servers may list their files
// by, which older versions did not set.
func markFolds(tx *bbolt.Tx) error {
	intents := tx.Bucket([]byte(inIntents))
	for _, key := range keysOf(intents, nil) {
		n, err := load[pb.Intent](intents, []byte(key))
		if err != nil {
			return err
		}
		keys := markedKeys(n)
		if len(keys) == len(n.GetPaths()) {
			continue
		}
		marks, err := tx.Bucket([]byte(inMarks)).CreateBucketIfNotExists([]byte(n.GetBucketId()))
		if err != nil {
			return err
		}
		for _, k := range keys {
			mark := marks.Get(k)
			if !bytes.Equal(mark, withoutHolder(mark, n.GetOrg(), n.GetId())) {
				continue // marked by the older version
			}
			if err := marks.Put(k, append(bytes.Clone(withSeparator(mark)), key...)); err != nil {
				return err
			}
		}
	}
	return nil
}

// renameKeys renames the identity that is one part of the keys of b.
func renameKeys(b *bbolt.Bucket, at int) error {
	for _, key := range keysOf(b, nil) {
		parts := strings.SplitN(key, "\x00", at+2)
		id := canonicalID(parts[at])
		if id == parts[at] {
			continue
		}
		value := bytes.Clone(b.Get([]byte(key)))
		parts[at] = id
		if err := firstError(b.Delete([]byte(key)), b.Put(join(parts...), value)); err != nil {
			return err
		}
	}
	return nil
}

// renameNested renames buckets in b that are named by an identity. When both identities have
// a value for a key, merge makes one of them.
func renameNested(b *bbolt.Bucket, merge func(a, b []byte) ([]byte, error)) error {
	for _, id := range keysOf(b, nil) {
		to := canonicalID(id)
		if to == id {
			continue
		}
		into, err := b.CreateBucketIfNotExists([]byte(to))
		if err != nil {
			return err
		}
		for k, v := range scan(b.Bucket([]byte(id)), nil) {
			k, v = bytes.Clone(k), bytes.Clone(v)
			if known := into.Get(k); known != nil {
				if v, err = merge(bytes.Clone(known), v); err != nil {
					return err
				}
			}
			if err := into.Put(k, v); err != nil {
				return err
			}
		}
		if err := b.DeleteBucket([]byte(id)); err != nil {
			return err
		}
	}
	return nil
}

func mergeDeltas(a, b []byte) ([]byte, error) {
	d, err := parse[pb.Delta](nil, a)
	if err != nil {
		return nil, err
	}
	other, err := parse[pb.Delta](nil, b)
	if err != nil {
		return nil, err
	}
	proto.Merge(d, other)
	sortDelta(d)
	return deterministic.Marshal(d)
}

// mergeRelations renames the identities of relations and drops those of a bucket to itself.
// Where two become one, that they are the same bucket wins.
func mergeRelations(meta *bbolt.Bucket) error {
	for _, rest := range keysOf(meta, under(metaRelation)) {
		a, b, _ := strings.Cut(rest, "\x00")
		key, to := join(metaRelation, rest), relationKey(canonicalID(a), canonicalID(b))
		if bytes.Equal(key, to) {
			continue
		}
		relation, err := load[pb.BucketRelation](meta, key)
		if err != nil {
			return err
		}
		known, err := load[pb.BucketRelation](meta, to)
		if err != nil {
			return err
		}
		if err := meta.Delete(key); err != nil {
			return err
		}
		if canonicalID(a) == canonicalID(b) || known.GetSame() {
			continue
		}
		if err := store(meta, to, relation); err != nil {
			return err
		}
	}
	return nil
}
