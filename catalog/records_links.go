package catalog

import (
	"slices"
	"strings"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// linkKeys are the keys of all links of a record.
func linkKeys(r *pb.Backup) [][]byte {
	keys := make([][]byte, 0, 1+len(r.GetFiles()))
	if p := r.GetStoragePath(); len(p) > 0 {
		keys = append(keys, linkKey(LinkPath, r.GetOrg(), r.GetId(), p))
	}
	for _, p := range r.GetFiles() {
		keys = append(keys, linkKey(LinkFile, r.GetOrg(), r.GetId(), p))
	}
	return keys
}

// linkStems are the stems that the links of a record touch.
func linkStems(r *pb.Backup) [][]byte {
	var stems [][]byte
	if p := r.GetStoragePath(); len(p) > 0 {
		stems = append(stems, keyspace.Stem(p))
	}
	for _, p := range r.GetFiles() {
		stems = append(stems, keyspace.Stem(p))
	}
	return stems
}

func (f *feed) putBackup(n *pb.Backup) error {
	if err := checkBackup(n); err != nil {
		return err
	}
	s, err := f.target(n.GetStorageId())
	if err != nil {
		return err
	}
	if err := f.checkClaim(s, n); err != nil {
		return err
	}
	old, err := lookup[pb.Backup](f.Tx, f.changes, backupShelf(), f.org, n.GetId())
	if err != nil {
		return err
	}
	linked := old != nil && sameLinks(old, n)
	if old != nil {
		if err := f.uncount(old, !linked); err != nil {
			return err
		}
		if old.GetStorageId() != n.GetStorageId() {
			f.displace(backupShelf(), old.GetStorageId(), old.GetId())
		}
	}
	s.counters.Backups++
	s.counters.BackupBytes += uint64(n.GetSize())
	if !linked {
		f.link(s, n, []byte(n.GetStorageId()))
	}
	return f.place(backupShelf(), n.GetStorageId(), n.GetId(), n)
}

// sameLinks reports whether two states of a record link the same files.
func sameLinks(a, b *pb.Backup) bool {
	return a.GetStorageId() == b.GetStorageId() &&
		string(a.GetStoragePath()) == string(b.GetStoragePath()) &&
		slices.EqualFunc(a.GetFiles(), b.GetFiles(), slices.Equal[[]byte])
}

func (f *feed) removeBackup(old *pb.Backup) error {
	if err := f.uncount(old, true); err != nil {
		return err
	}
	f.displace(backupShelf(), old.GetStorageId(), old.GetId())
	return nil
}

// uncount takes a record out of the counters of its destination and, if asked,
// out of the links.
func (f *feed) uncount(old *pb.Backup, unlink bool) error {
	s, err := f.storage(old.GetStorageId())
	if err != nil {
		return err
	}
	s.counters.Backups--
	s.counters.BackupBytes -= uint64(old.GetSize())
	if unlink {
		f.link(s, old, nil)
	}
	return nil
}

// link sets the links of a record in all homes of its destination, or removes
// them when storageID is nil.
func (f *feed) link(s *storage, r *pb.Backup, storageID []byte) {
	keys, stems := linkKeys(r), linkStems(r)
	if len(keys) == 0 {
		return
	}
	for _, bucketID := range s.homes {
		for _, key := range keys {
			f.changes.put(place{inLinks, bucketID}, string(key), storageID)
		}
		d := f.deltas.of(bucketID)
		d.Stems = append(d.Stems, stems...)
	}
}

func (f *feed) putPitr(n *pb.Pitr) error {
	if err := checkPitr(n); err != nil {
		return err
	}
	s, err := f.target(n.GetStorageId())
	if err != nil {
		return err
	}
	if err := f.checkClaimUnder(s.bucketID, n.GetPrefix()); err != nil {
		return err
	}
	old, err := lookup[pb.Pitr](f.Tx, f.changes, pitrShelf(), f.org, n.GetId())
	if err != nil {
		return err
	}
	if old != nil {
		if err := f.displacePitr(old); err != nil {
			return err
		}
	}
	s.counters.Pitr++
	if err := f.place(pitrShelf(), n.GetStorageId(), n.GetId(), n); err != nil {
		return err
	}
	return f.rememberPrefix(n, s.bucketID, f.deltas)
}

// removePitr forgets a configuration and every prefix that it ever wrote under.
func (f *feed) removePitr(old *pb.Pitr) error {
	if err := f.displacePitr(old); err != nil {
		return err
	}
	for _, rest := range keysOf(f.bucket(inPrefixesByPitr), under(f.org, old.GetId())) {
		bucketID, prefix, _ := strings.Cut(rest, "\x00")
		if err := firstError(
			f.bucket(inPrefixesByPitr).Delete(join(f.org, old.GetId(), rest)),
			f.bucket(inPrefixes).Delete(join(bucketID, f.org, old.GetId(), prefix)),
		); err != nil {
			return err
		}
		d := f.deltas.of(bucketID)
		d.Prefixes = append(d.Prefixes, []byte(prefix))
	}
	return nil
}

func (f *feed) displacePitr(old *pb.Pitr) error {
	s, err := f.storage(old.GetStorageId())
	if err != nil {
		return err
	}
	s.counters.Pitr--
	f.displace(pitrShelf(), old.GetStorageId(), old.GetId())
	return nil
}

// rememberPrefix notes that a configuration writes under its prefix in a bucket,
// once.
func (b *batch) rememberPrefix(p *pb.Pitr, bucketID string, all deltas) error {
	key := join(bucketID, p.GetOrg(), p.GetId(), string(p.GetPrefix()))
	if b.bucket(inPrefixes).Get(key) != nil {
		return nil
	}
	d := all.of(bucketID)
	d.Prefixes = append(d.Prefixes, p.GetPrefix())
	return firstError(
		b.bucket(inPrefixes).Put(key, []byte{}),
		b.bucket(inPrefixesByPitr).Put(join(p.GetOrg(), p.GetId(), bucketID, string(p.GetPrefix())), []byte{}),
	)
}
