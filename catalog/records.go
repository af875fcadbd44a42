package catalog

import (
	"errors"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// Kinds of records, as DeleteRecords names them.
const (
	KindProject  = "project"
	KindBackup   = "backup"
	KindSchedule = "schedule"
	KindPitr     = "pitr"
)

// feed changes the records of one organisation during one command. What a
// thousand records share is looked up once and written once, at the end.
type feed struct {
	*batch
	org      string
	storages map[string]*storage
	deltas   deltas
}

// storage is a destination that records name. It may be deleted: then it takes
// no new records, and gives up the old ones.
type storage struct {
	exists   bool
	bucketID string // its own; empty when it is deleted
	homes    []string
	counters Counters
}

func (b *batch) feed(org string) *feed {
	return &feed{batch: b, org: org, storages: map[string]*storage{}, deltas: deltas{}}
}

func (f *feed) storage(id string) (*storage, error) {
	if s := f.storages[id]; s != nil {
		return s, nil
	}
	d, err := f.Destination(f.org, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	s := &storage{exists: err == nil, homes: f.homes(f.org, id), counters: f.counters(f.org, id)}
	if s.exists {
		s.bucketID = BucketID(d)
	}
	f.storages[id] = s
	return s, nil
}

// finish writes what the records share.
func (f *feed) finish() error {
	for id, s := range f.storages {
		if err := f.putCounters(f.org, id, s.counters); err != nil {
			return err
		}
		if err := f.moveOut(f.org, id); err != nil {
			return err
		}
	}
	return f.putDeltas(f.deltas)
}

func (b *batch) putRecords(m *pb.PutRecords) (*pb.Result, error) {
	if err := checkID("org", m.GetOrg()); err != nil {
		return nil, err
	}
	f, result := b.feed(m.GetOrg()), &pb.Result{}
	for i, r := range m.GetRecords() {
		err := f.put(r)
		if refusal, ok := errors.AsType[*Error](err); ok {
			result.Rejected = append(result.Rejected, &pb.Rejection{Index: uint32(i), Code: refusal.Code, Message: refusal.Message})
		} else if err != nil {
			return nil, err
		}
	}
	return result, f.finish()
}

func recordID(r *pb.Record) string {
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
func (f *feed) put(r *pb.Record) error {
	if err := checkID("id", recordID(r)); err != nil {
		return err
	}
	switch k := r.GetKind().(type) {
	case *pb.Record_Project:
		k.Project.Org = f.org
		return store(f.bucket(inProjects), join(f.org, k.Project.GetId()), k.Project)
	case *pb.Record_Backup:
		k.Backup.Org = f.org
		return f.putBackup(k.Backup)
	case *pb.Record_Schedule:
		k.Schedule.Org = f.org
		return f.putSchedule(k.Schedule)
	case *pb.Record_Pitr:
		k.Pitr.Org = f.org
		return f.putPitr(k.Pitr)
	}
	return refuse(CodeInvalid, "a record of no known kind")
}

// target is the destination that a new record names.
func (f *feed) target(id string) (*storage, error) {
	if err := checkID("storage id", id); err != nil {
		return nil, err
	}
	s, err := f.storage(id)
	if err == nil && !s.exists {
		err = missing("storage destination", id)
	}
	return s, err
}

func (f *feed) putSchedule(n *pb.Schedule) error {
	s, err := f.target(n.GetStorageId())
	if err != nil {
		return err
	}
	old, err := lookup[pb.Schedule](f.Tx, f.changes, scheduleShelf(), f.org, n.GetId())
	if err != nil {
		return err
	}
	if old != nil {
		if err := f.removeSchedule(old); err != nil {
			return err
		}
	}
	s.counters.Schedules++
	return f.place(scheduleShelf(), n.GetStorageId(), n.GetId(), n)
}

func (f *feed) removeSchedule(old *pb.Schedule) error {
	s, err := f.storage(old.GetStorageId())
	if err != nil {
		return err
	}
	s.counters.Schedules--
	f.displace(scheduleShelf(), old.GetStorageId(), old.GetId())
	return nil
}

func (b *batch) deleteRecords(m *pb.DeleteRecords) (*pb.Result, error) {
	if err := checkID("org", m.GetOrg()); err != nil {
		return nil, err
	}
	f := b.feed(m.GetOrg())
	remove, ok := map[string]func(id string) (bool, error){
		KindProject:  f.deleteProject,
		KindBackup:   remover(f, backupShelf(), f.removeBackup),
		KindSchedule: remover(f, scheduleShelf(), f.removeSchedule),
		KindPitr:     remover(f, pitrShelf(), f.removePitr),
	}[m.GetKind()]
	if !ok {
		return nil, refuse(CodeInvalid, "there are no records of kind %q", m.GetKind())
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
	return result, f.finish()
}

// remover finds a record and removes it; false when there is none.
func remover[T any, M message[T]](f *feed, s shelf, remove func(M) error) func(id string) (bool, error) {
	return func(id string) (bool, error) {
		old, err := lookup[T, M](f.Tx, f.changes, s, f.org, id)
		if err != nil || old == nil {
			return false, err
		}
		return true, remove(old)
	}
}

func (f *feed) deleteProject(id string) (bool, error) {
	key := join(f.org, id)
	if f.bucket(inProjects).Get(key) == nil {
		return false, nil
	}
	return true, f.bucket(inProjects).Delete(key)
}

// place puts a record under its destination; displace removes it.
func (f *feed) place(s shelf, destID, id string, m proto.Message) error {
	value, err := deterministic.Marshal(m)
	if err != nil {
		return err
	}
	f.changes.put(s.of(f.org, destID), id, value)
	f.changes.put(s.index(f.org), id, []byte(destID))
	return nil
}

func (f *feed) displace(s shelf, destID, id string) {
	f.changes.put(s.of(f.org, destID), id, nil)
	f.changes.put(s.index(f.org), id, nil)
}
