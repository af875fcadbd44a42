package catalog

import (
	"errors"
	"slices"
	"strings"

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
	links    linkChanges
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
	return &feed{batch: b, org: org, storages: map[string]*storage{}, deltas: deltas{}, links: linkChanges{}}
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
	if err := f.links.write(f.batch); err != nil {
		return err
	}
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
	for _, i := range byID(m.GetRecords()) {
		err := f.put(m.GetRecords()[i])
		if refusal, ok := errors.AsType[*Error](err); ok {
			result.Rejected = append(result.Rejected, &pb.Rejection{Index: uint32(i), Code: refusal.Code, Message: refusal.Message})
		} else if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(result.Rejected, func(a, b *pb.Rejection) int { return int(a.GetIndex()) - int(b.GetIndex()) })
	return result, f.finish()
}

// byID orders the records of a command by id, so that neighbours in the file are
// written one after another. Those of one id stay in their order, and different
// ids do not meet, so the outcome is that of the order given.
func byID(records []*pb.Record) []int {
	order := make([]int, len(records))
	ids := make([]string, len(records))
	for i, r := range records {
		order[i], ids[i] = i, recordID(r)
	}
	slices.SortStableFunc(order, func(i, j int) int { return strings.Compare(ids[i], ids[j]) })
	return order
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
	old, err := placed[pb.Schedule](f.Tx, inSchedules, inScheduleIDs, f.org, n.GetId())
	if err != nil {
		return err
	}
	if old != nil {
		if err := f.removeSchedule(old); err != nil {
			return err
		}
	}
	s.counters.Schedules++
	return f.place(inSchedules, inScheduleIDs, n.GetStorageId(), n.GetId(), n)
}

func (f *feed) removeSchedule(old *pb.Schedule) error {
	s, err := f.storage(old.GetStorageId())
	if err != nil {
		return err
	}
	s.counters.Schedules--
	return f.displace(inSchedules, inScheduleIDs, old.GetStorageId(), old.GetId())
}

func (b *batch) deleteRecords(m *pb.DeleteRecords) (*pb.Result, error) {
	if err := checkID("org", m.GetOrg()); err != nil {
		return nil, err
	}
	f := b.feed(m.GetOrg())
	remove, ok := map[string]func(id string) error{
		KindProject: func(id string) error {
			if _, err := f.Project(f.org, id); err != nil {
				return err
			}
			return f.bucket(inProjects).Delete(join(f.org, id))
		},
		KindBackup: func(id string) error {
			old, err := f.Backup(f.org, id)
			if err != nil {
				return err
			}
			return f.removeBackup(old)
		},
		KindSchedule: func(id string) error {
			old, err := f.Schedule(f.org, id)
			if err != nil {
				return err
			}
			return f.removeSchedule(old)
		},
		KindPitr: func(id string) error {
			old, err := f.Pitr(f.org, id)
			if err != nil {
				return err
			}
			return f.removePitr(old)
		},
	}[m.GetKind()]
	if !ok {
		return nil, refuse(CodeInvalid, "there are no records of kind %q", m.GetKind())
	}
	result, ids := &pb.Result{}, slices.Clone(m.GetIds())
	slices.Sort(ids)
	for _, id := range ids {
		err := remove(id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		result.Deleted++
	}
	return result, f.finish()
}

// place writes a record under its destination; displace removes it.
func (f *feed) place(records, ids, destID, id string, m proto.Message) error {
	if err := store(f.bucket(records), join(f.org, destID, id), m); err != nil {
		return err
	}
	return f.bucket(ids).Put(join(f.org, id), []byte(destID))
}

func (f *feed) displace(records, ids, destID, id string) error {
	if err := f.bucket(records).Delete(join(f.org, destID, id)); err != nil {
		return err
	}
	return f.bucket(ids).Delete(join(f.org, id))
}
