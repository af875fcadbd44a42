package catalog

import (
	"maps"
	"slices"
	"strings"

	pb "firescan/catalog/catalogpb"
)

// linkKeys are the keys of all links of a record.
func linkKeys(r *pb.Backup) [][]byte {
	keys := make([][]byte, 0, 1+len(r.GetFiles()))
	if p := r.GetStoragePath(); len(p) > 0 {
		keys = append(keys, appendLinkKey(nil, LinkPath, r.GetOrg(), r.GetId(), p))
	}
	for _, p := range r.GetFiles() {
		keys = append(keys, appendLinkKey(nil, LinkFile, r.GetOrg(), r.GetId(), p))
	}
	return keys
}

// linkStems are the stems that the links of a record touch.
func linkStems(r *pb.Backup) [][]byte {
	var stems [][]byte
	if p := r.GetStoragePath(); len(p) > 0 {
		stems = append(stems, Stem(p))
	}
	for _, p := range r.GetFiles() {
		stems = append(stems, Stem(p))
	}
	return stems
}

// linkChanges are the links that a command puts (by storage id) and removes
// (empty), by bucket identity and key.
type linkChanges map[string]map[string]string

func (l linkChanges) set(bucketID string, key []byte, storageID string) {
	if l[bucketID] == nil {
		l[bucketID] = map[string]string{}
	}
	l[bucketID][string(key)] = storageID
}

// write carries them out in the order of the keys.
func (l linkChanges) write(b *batch) error {
	for bucketID, changes := range l {
		links, err := b.bucket(inLinks).CreateBucketIfNotExists([]byte(bucketID))
		if err != nil {
			return err
		}
		for _, key := range slices.SortedFunc(maps.Keys(changes), strings.Compare) {
			if id := changes[key]; id != "" {
				err = links.Put([]byte(key), []byte(id))
			} else {
				err = links.Delete([]byte(key))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *feed) putBackup(n *pb.Backup) error {
	if err := checkBackup(n); err != nil {
		return err
	}
	s, err := f.target(n.GetStorageId())
	if err != nil {
		return err
	}
	old, err := placed[pb.Backup](f.Tx, inBackups, inBackupIDs, f.org, n.GetId())
	if err != nil {
		return err
	}
	linked := old != nil && sameLinks(old, n)
	if old != nil {
		if err := f.uncount(old, !linked); err != nil {
			return err
		}
		if old.GetStorageId() != n.GetStorageId() {
			if err := f.displace(inBackups, inBackupIDs, old.GetStorageId(), old.GetId()); err != nil {
				return err
			}
		}
	}
	s.counters.Backups++
	s.counters.BackupBytes += uint64(n.GetSize())
	if !linked {
		f.link(s, n, n.GetStorageId())
	}
	return f.place(inBackups, inBackupIDs, n.GetStorageId(), n.GetId(), n)
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
	return f.displace(inBackups, inBackupIDs, old.GetStorageId(), old.GetId())
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
		f.link(s, old, "")
	}
	return nil
}

// link sets the links of a record in all homes of its destination, or removes
// them when storageID is empty.
func (f *feed) link(s *storage, r *pb.Backup, storageID string) {
	keys, stems := linkKeys(r), linkStems(r)
	if len(keys) == 0 {
		return
	}
	for _, bucketID := range s.homes {
		for _, key := range keys {
			f.links.set(bucketID, key, storageID)
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
	old, err := placed[pb.Pitr](f.Tx, inPitrs, inPitrIDs, f.org, n.GetId())
	if err != nil {
		return err
	}
	if old != nil {
		if err := f.displacePitr(old); err != nil {
			return err
		}
	}
	s.counters.Pitr++
	if err := f.place(inPitrs, inPitrIDs, n.GetStorageId(), n.GetId(), n); err != nil {
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
	return f.displace(inPitrs, inPitrIDs, old.GetStorageId(), old.GetId())
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
