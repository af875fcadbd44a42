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
	links := recordLinks(n)
	if err := w.checkUnmarked(s, links); err != nil || same {
		return err
	}
	linked := old != nil && sameLinks(old, n)
	if old != nil {
		if err := w.subtract(old, !linked); err != nil {
			return err
		}
		if old.GetStorageId() != n.GetStorageId() {
			if err := w.dropStray(old); err != nil {
				return err
			}
			w.unplace(backupKind(), old.GetStorageId(), old.GetId())
		}
	}
	s.changes++
	s.counters.Backups++
	s.counters.BackupBytes += uint64(n.GetSize())
	w.setStray(s, n)
	if !linked {
		w.setLinks(s, n, links, []byte(n.GetStorageId()))
	}
	w.place(backupKind(), n.GetStorageId(), n.GetId(), value)
	return nil
}

func (w *recordWriter) removeBackup(old *pb.Backup) error {
	if err := w.subtract(old, true); err != nil {
		return err
	}
	w.unplace(backupKind(), old.GetStorageId(), old.GetId())
	return w.dropStray(old)
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
		w.setLinks(s, old, recordLinks(old), nil)
	}
	return nil
}

// checkUnmarked refuses a backup record of a destination that would link a file that is being
// deleted.
func (w *recordWriter) checkUnmarked(s *storage, links []recordLink) error {
	for _, l := range links {
		marks, err := w.marksFor(s, l)
		if err != nil {
			return err
		}
		for _, m := range marks {
			if err := m.check(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// marksFor returns the marks that may block a link of a record of a destination: those in its
// buckets, under every identity. No command both puts records and changes marks.
func (w *recordWriter) marksFor(s *storage, l recordLink) (views []*markView, err error) {
	if l.bucketID == "" && s.marks != nil {
		return s.marks, nil
	}
	views = []*markView{}
	for _, bucketID := range withAliases(w.tx.read, l.buckets(s.homes)) {
		v, err := w.tx.marksFor(bucketID, w.org)
		if err != nil {
			return nil, err
		}
		if v.marks != nil {
			views = append(views, v)
		}
	}
	if l.bucketID == "" {
		s.marks = views
	}
	return views, nil
}

// setLinks sets the links of a record, or removes them when storageID is nil.
func (w *recordWriter) setLinks(s *storage, r *pb.Backup, links []recordLink, storageID []byte) {
	for _, l := range links {
		key := l.key(r)
		for _, bucketID := range l.buckets(s.homes) {
			b := w.linksOf(bucketID)
			var value []byte
			if storageID != nil {
				value = withChecksum(make([]byte, 0, len(storageID)+checksumSize), b.seed, key, storageID)
			}
			b.changes[string(key)] = value
			l.addTo(b.delta)
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
