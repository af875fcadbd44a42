package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	pb "firescan/catalog/catalogpb"
)

// Conditions of Record.if_version and DeleteRecords.if_version other than a version.
const (
	IfStored    = "*" // the record must exist
	IfNotStored = "-" // the record must not exist
)

// versionLength is the length of a version before encoding, in bytes.
const versionLength = 8

// RecordVersion returns the version of a record: a digest of what the feed wrote. Equal
// records have equal versions, so a record that is put again unchanged keeps its version.
// It is derived rather than stored: an import of millions of records pays nothing for it,
// and nodes of several builds agree on it. References, which the resolver adds, do not
// count.
func RecordVersion(r *pb.Record) string {
	d := digest{}
	switch k := r.GetKind().(type) {
	case *pb.Record_Project:
		p := k.Project
		d.texts(KindProject, p.GetId(), p.GetName())
	case *pb.Record_Backup:
		b := k.Backup
		d.texts(KindBackup, b.GetId(), b.GetStorageId(), b.GetProjectId(), b.GetStatus(), string(b.GetStoragePath()))
		d.numbers(b.GetSize(), b.GetCreatedAt(), int64(len(b.GetCollections())))
		d.texts(b.GetCollections()...)
		for _, f := range b.GetFiles() {
			d.texts(string(f))
		}
	case *pb.Record_Schedule:
		s := k.Schedule
		d.texts(KindSchedule, s.GetId(), s.GetStorageId(), s.GetProjectId(), s.GetName(), s.GetCronExpression())
		d.flag(s.GetEnabled())
	case *pb.Record_Pitr:
		p := k.Pitr
		d.texts(KindPitr, p.GetId(), p.GetStorageId(), p.GetProjectId(), p.GetStatus(), string(p.GetPrefix()))
		d.flag(p.GetEnabled())
	}
	sum := sha256.Sum256(d)
	return hex.EncodeToString(sum[:versionLength])
}

// A digest is an unambiguous encoding of fields.
type digest []byte

func (d *digest) numbers(all ...int64) {
	for _, n := range all {
		*d = binary.BigEndian.AppendUint64(*d, uint64(n))
	}
}

func (d *digest) texts(all ...string) {
	for _, s := range all {
		d.numbers(int64(len(s)))
		*d = append(*d, s...)
	}
}

func (d *digest) flag(set bool) {
	n := int64(0)
	if set {
		n = 1
	}
	d.numbers(n)
}

// checkVersion refuses a change of a record whose stored version does not meet the
// condition want (see Record.if_version).
func (w *recordWriter) checkVersion(kind, id, want string) error {
	if want == "" {
		return nil
	}
	stored, err := w.stored(kind, id)
	if err != nil {
		return err
	}
	switch {
	case want == IfNotStored && stored != nil:
		return refuse(CodeConflict, "%s %q exists already, in version %s", kind, id, RecordVersion(stored))
	case want == IfNotStored, want == IfStored && stored != nil:
		return nil
	case stored == nil:
		return refuse(CodeConflict, "%s %q does not exist any more", kind, id)
	case want != RecordVersion(stored):
		return refuse(CodeConflict, "%s %q has changed: its version is %s, not %s; read it again and repeat the change", kind, id, RecordVersion(stored), want)
	}
	return nil
}

// stored returns a record as it will be after the changes; nil when there is none.
func (w *recordWriter) stored(kind, id string) (*pb.Record, error) {
	switch kind {
	case KindProject:
		p, err := load[pb.Project](w.tx.bucket(inProjects), join(w.org, id))
		if p == nil || err != nil {
			return nil, err
		}
		return &pb.Record{Kind: &pb.Record_Project{Project: p}}, nil
	case KindBackup:
		b, err := lookup[pb.Backup](w.tx.read, w.tx.changes, backupKind(), w.org, id)
		if b == nil || err != nil {
			return nil, err
		}
		return &pb.Record{Kind: &pb.Record_Backup{Backup: b}}, nil
	case KindSchedule:
		s, err := lookup[pb.Schedule](w.tx.read, w.tx.changes, scheduleKind(), w.org, id)
		if s == nil || err != nil {
			return nil, err
		}
		return &pb.Record{Kind: &pb.Record_Schedule{Schedule: s}}, nil
	case KindPitr:
		p, err := lookup[pb.Pitr](w.tx.read, w.tx.changes, pitrKind(), w.org, id)
		if p == nil || err != nil {
			return nil, err
		}
		return &pb.Record{Kind: &pb.Record_Pitr{Pitr: p}}, nil
	}
	return nil, refuse(CodeInvalid, "there are no records of kind %q", kind)
}
