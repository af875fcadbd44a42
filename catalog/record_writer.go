package catalog

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// A recordWriter changes records of one organization during one command. State that many
// records share is loaded once, and flush writes it once.
type recordWriter struct {
	tx       *writeTx
	org      string
	storages map[string]*storage
	links    map[string]*linkBucket
	deltas   deltas
}

// A storage is a destination that records name. Without a tombstone, a deleted one takes no
// new records but gives up old ones.
type storage struct {
	destination *pb.Destination // nil when it is deleted
	exists      bool            // or has a tombstone
	bucketID    string          // of its bucket; empty when it does not exist
	homes       []string
	marks       []*markView // those in the homes and their aliases; nil until read
	straysAt    bucketPath
	hasStrays   bool // the bucket of strays exists, or will
	counters    Counters
	changes     uint64 // of backup records in this command
}

// A linkBucket is a bucket in which records of a command are linked.
type linkBucket struct {
	seed    uint32 // see linkSeed
	changes map[string][]byte
	delta   *pb.Delta
}

func newRecordWriter(tx *writeTx, org string) *recordWriter {
	return &recordWriter{tx: tx, org: org, storages: map[string]*storage{}, links: map[string]*linkBucket{}, deltas: deltas{}}
}

func (w *recordWriter) storage(id string) (*storage, error) {
	if s := w.storages[id]; s != nil {
		return s, nil
	}
	d, deleted, err := w.tx.read.known(w.org, id)
	if err != nil {
		return nil, err
	}
	s := &storage{
		exists: d != nil, homes: homeBuckets(w.tx.read, w.org, id), straysAt: straysOf(w.org, id),
		counters: loadCounters(w.tx.read, w.org, id),
	}
	s.hasStrays = w.tx.changes[s.straysAt] != nil || w.tx.nested(s.straysAt.bucket, s.straysAt.nested) != nil
	if s.exists {
		s.bucketID = BucketID(d)
	}
	if !deleted {
		s.destination = d
	}
	w.storages[id] = s
	return s, nil
}

// linksOf returns the links of a bucket. Nearly all records of a command are linked in one.
func (w *recordWriter) linksOf(bucketID string) *linkBucket {
	b := w.links[bucketID]
	if b == nil {
		b = &linkBucket{linkSeed(bucketID), w.tx.changes.of(bucketPath{inLinks, bucketID}), w.deltas.of(bucketID)}
		w.links[bucketID] = b
	}
	return b
}

// existingStorage returns the destination that a new record names.
func (w *recordWriter) existingStorage(id string) (*storage, error) {
	if err := checkID("storage id", id); err != nil {
		return nil, err
	}
	s, err := w.storage(id)
	if err == nil && !s.exists {
		err = refuse(CodeNotFound, "storage destination %q does not exist: create it first, or correct the storageId of the record", id)
	}
	return s, err
}

// flush writes the state that the records share.
func (w *recordWriter) flush() error {
	for id, s := range w.storages {
		if err := putCounters(w.tx, w.org, id, s.counters); err != nil {
			return err
		}
		if err := addChanges(w.tx, w.org, id, s.changes); err != nil {
			return err
		}
		if err := dropHomes(w.tx, w.org, id); err != nil {
			return err
		}
	}
	return putDeltas(w.tx, w.deltas)
}

// replaced returns the encoded record n and the one that it replaces, nil without one. same
// reports that they are equal: a feed that is imported again writes nothing.
func replaced[T any, M message[T]](w *recordWriter, s recordKind, id string, n M) (value []byte, old M, same bool, err error) {
	if value, err = deterministic.Marshal(n); err != nil {
		return nil, nil, false, err
	}
	stored := storedValue(w.tx.read, w.tx.changes, s, w.org, id)
	if stored == nil || bytes.Equal(stored, value) {
		return value, nil, stored != nil, nil
	}
	old, err = parse[T, M]([]byte(id), stored)
	return value, old, false, err
}

// place puts a record under its destination; unplace removes it.
func (w *recordWriter) place(s recordKind, destID, id string, value []byte) {
	w.tx.changes.put(s.of(w.org, destID), id, value)
	w.tx.changes.put(s.index(w.org), id, []byte(destID))
}

func (w *recordWriter) unplace(s recordKind, destID, id string) {
	w.tx.changes.put(s.of(w.org, destID), id, nil)
	w.tx.changes.put(s.index(w.org), id, nil)
}

// remover returns a function that removes a record by id, and returns false when there is
// none.
func remover[T any, M message[T]](w *recordWriter, s recordKind, remove func(M) error) func(id string) (bool, error) {
	return func(id string) (bool, error) {
		old, err := lookup[T, M](w.tx.read, w.tx.changes, s, w.org, id)
		if err != nil || old == nil {
			return false, err
		}
		return true, remove(old)
	}
}

// keepWritten makes a record that is put again keep where it was written: an edit of its
// destination has not moved its files. What the same locations mean by now is added. It
// reports whether it has changed the record.
func (s *storage) keepWritten(n, old *pb.Backup) bool {
	if n.GetRevision() == old.GetRevision() || n.GetStorageId() != old.GetStorageId() || n.GetCreatedAt() != old.GetCreatedAt() {
		return false
	}
	if old.GetRevision() == 0 && len(s.homes) == 1 {
		return false // it has been in one bucket ever since
	}
	n.Revision = old.GetRevision()
	if !sameLocations(n, old) {
		return true
	}
	refs := spelledOut(old)
	for _, ref := range spelledOut(n) {
		switch ref.Kind {
		case pb.Reference_PATH:
			ref.Kind = pb.Reference_ALIAS
		case pb.Reference_FILE:
			ref.Kind = pb.Reference_FILE_ALIAS
		}
		if !slices.ContainsFunc(refs, func(r *pb.Reference) bool {
			return r.GetBucketId() == ref.GetBucketId() && bytes.Equal(r.GetKey(), ref.GetKey()) &&
				(r.GetKind() == pb.Reference_PREFIX) == (ref.GetKind() == pb.Reference_PREFIX) && r.GetLocation() == ref.GetLocation()
		}) {
			refs = append(refs, ref)
		}
	}
	if n.References = old.References; len(refs) > len(spelledOut(old)) {
		n.References = refs
	}
	return true
}

// sameLocations reports whether two states of a record name the same locations.
func sameLocations(a, b *pb.Backup) bool {
	return bytes.Equal(a.GetStoragePath(), b.GetStoragePath()) && slices.EqualFunc(a.GetFiles(), b.GetFiles(), bytes.Equal)
}

// spelledOut returns copies of the references of a record, also of one that needs none.
func spelledOut(b *pb.Backup) (refs []*pb.Reference) {
	for _, ref := range b.GetReferences() {
		refs = append(refs, proto.CloneOf(ref))
	}
	if refs != nil {
		return refs
	}
	if len(b.GetStoragePath()) > 0 {
		refs = append(refs, &pb.Reference{Kind: pb.Reference_PATH, Key: b.GetStoragePath(), Location: 1})
	}
	for i, f := range b.GetFiles() {
		refs = append(refs, &pb.Reference{Kind: pb.Reference_FILE, Key: f, Location: uint32(i + 2)})
	}
	return refs
}
