package catalog

import (
	"strings"

	pb "firescan/catalog/catalogpb"
)

func (w *recordWriter) putBackup(n *pb.Backup) error {
	if err := checkBackup(n); err != nil {
		return err
	}
	s, err := w.existingStorage(n.GetStorageId())
	if err != nil {
		return err
	}
	value, old, same, err := replaced[pb.Backup](w, backupKind(), n.GetId(), n)
	if err == nil && old != nil && s.keepWritten(n, old) {
		value, old, same, err = replaced[pb.Backup](w, backupKind(), n.GetId(), n)
	}
	if err != nil {
		return err
	}
	if err := checkUnmarked(w.tx, s.marked, n); err != nil || same {
		return err
	}
	linked := old != nil && sameLinks(old, n)
	if old != nil {
		if err := w.subtract(old, !linked); err != nil {
			return err
		}
		if old.GetStorageId() != n.GetStorageId() {
			w.dropStray(old)
			w.unplace(backupKind(), old.GetStorageId(), old.GetId())
		}
	}
	s.changes++
	s.counters.Backups++
	s.counters.BackupBytes += uint64(n.GetSize())
	w.setStray(s, n)
	if !linked {
		w.setLinks(s, n, []byte(n.GetStorageId()))
	}
	w.place(backupKind(), n.GetStorageId(), n.GetId(), value)
	return nil
}

func (w *recordWriter) removeBackup(old *pb.Backup) error {
	if err := w.subtract(old, true); err != nil {
		return err
	}
	w.dropStray(old)
	w.unplace(backupKind(), old.GetStorageId(), old.GetId())
	return nil
}

// subtract removes a record from the counters of its destination and, if unlink is set,
// from the links.
func (w *recordWriter) subtract(old *pb.Backup, unlink bool) error {
	s, err := w.storage(old.GetStorageId())
	if err != nil {
		return err
	}
	s.changes++
	s.counters.Backups--
	s.counters.BackupBytes -= uint64(old.GetSize())
	if unlink {
		w.setLinks(s, old, nil)
	}
	return nil
}

// setLinks sets the links of a record, or removes them when storageID is nil.
func (w *recordWriter) setLinks(s *storage, r *pb.Backup, storageID []byte) {
	for _, l := range recordLinks(r) {
		key := l.key(r)
		for _, bucketID := range l.buckets(s.homes) {
			var value []byte
			if storageID != nil {
				value = withChecksum(nil, linkSeed(bucketID), key, storageID)
			}
			w.tx.changes.put(bucketPath{inLinks, bucketID}, string(key), value)
			l.addTo(w.deltas.of(bucketID))
		}
	}
}

// HasBackups reports whether an organization has backup records in a bucket (see BucketID).
func (tx *Tx) HasBackups(org, bucketID string) bool {
	for rest := range scan(tx.bucket(inHomes), under(org)) {
		destID, home, _ := strings.Cut(string(rest), "\x00")
		if home == bucketID && loadCounters(tx, org, destID).Backups > 0 {
			return true
		}
	}
	return false
}
