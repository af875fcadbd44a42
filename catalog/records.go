package catalog

import (
	"errors"

	pb "firescan/catalog/catalogpb"
)

func putRecords(tx *writeTx, m *pb.PutRecords) (*pb.Result, error) {
	if err := checkID("org", m.GetOrg()); err != nil {
		return nil, err
	}
	w, result := newRecordWriter(tx, m.GetOrg()), &pb.Result{}
	refused, err := loadRefused(tx, m.GetOrg())
	if err != nil {
		return nil, err
	}
	for i, r := range m.GetRecords() {
		err := w.put(r)
		if err == nil {
			refused.stored(r)
		} else if refusal, ok := errors.AsType[*Error](err); ok {
			result.Rejected = append(result.Rejected, &pb.Rejection{Index: uint32(i), Code: refusal.Code, Message: refusal.Message})
		} else {
			return nil, err
		}
	}
	return result, firstError(w.flush(), refused.flush())
}

// RecordID returns the id of a record of any kind.
func RecordID(r *pb.Record) string {
	switch k := r.GetKind().(type) {
	case *pb.Record_Project:
		return k.Project.GetId()
	case *pb.Record_Backup:
		return k.Backup.GetId()
	case *pb.Record_Schedule:
		return k.Schedule.GetId()
	case *pb.Record_Pitr:
		return k.Pitr.GetId()
	}
	return ""
}

// put stores one record, or refuses it with an *Error and changes nothing.
func (w *recordWriter) put(r *pb.Record) error {
	if err := checkID("id", RecordID(r)); err != nil {
		return err
	}
	if err := w.checkVersion(recordKindName(r), RecordID(r), r.GetIfVersion()); err != nil {
		return err
	}
	switch k := r.GetKind().(type) {
	case *pb.Record_Project:
		k.Project.Org = w.org
		return store(w.tx.bucket(inProjects), join(w.org, k.Project.GetId()), k.Project)
	case *pb.Record_Backup:
		k.Backup.Org = w.org
		return w.putBackup(k.Backup)
	case *pb.Record_Schedule:
		k.Schedule.Org = w.org
		return w.putSchedule(k.Schedule)
	case *pb.Record_Pitr:
		k.Pitr.Org = w.org
		return w.putPitr(k.Pitr)
	}
	return refuse(CodeInvalid, "a record of no known kind")
}

func deleteRecords(tx *writeTx, m *pb.DeleteRecords) (*pb.Result, error) {
	if err := checkID("org", m.GetOrg()); err != nil {
		return nil, err
	}
	w := newRecordWriter(tx, m.GetOrg())
	remove, ok := map[string]func(id string) (bool, error){
		KindProject:  w.deleteProject,
		KindBackup:   remover(w, backupKind(), w.removeBackup),
		KindSchedule: remover(w, scheduleKind(), w.removeSchedule),
		KindPitr:     remover(w, pitrKind(), w.removePitr),
	}[m.GetKind()]
	if !ok {
		return nil, refuse(CodeInvalid, "there are no records of kind %q", m.GetKind())
	}
	for _, id := range m.GetIds() {
		if err := w.checkVersion(m.GetKind(), id, m.GetIfVersion()); err != nil {
			return nil, err
		}
	}
	result := &pb.Result{}
	for _, id := range m.GetIds() {
		removed, err := remove(id)
		if err != nil {
			return nil, err
		}
		if removed {
			result.Deleted++
		}
	}
	return result, w.flush()
}

func (w *recordWriter) deleteProject(id string) (bool, error) {
	key := join(w.org, id)
	if w.tx.bucket(inProjects).Get(key) == nil {
		return false, nil
	}
	return true, w.tx.bucket(inProjects).Delete(key)
}
