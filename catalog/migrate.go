package catalog

import (
	pb "firescan/catalog/catalogpb"
)

// migrate moves schedules and PITR configurations as if each were put again with the
// other destination, after checking that none will be refused.
func migrate(tx *writeTx, m *pb.Migrate) (*pb.Result, error) {
	if m.GetFromId() == m.GetToId() {
		return nil, refuse(CodeInvalid, "storage destination %q cannot be migrated to itself", m.GetFromId())
	}
	from, err := tx.read.Destination(m.GetOrg(), m.GetFromId())
	if err != nil {
		return nil, err
	}
	to, err := tx.read.Destination(m.GetOrg(), m.GetToId())
	if err != nil {
		return nil, err
	}
	schedules, err := tx.read.Schedules(from.GetOrg(), from.GetId())
	if err != nil {
		return nil, err
	}
	pitrs, err := tx.read.Pitrs(from.GetOrg(), from.GetId())
	if err != nil {
		return nil, err
	}
	for _, p := range pitrs {
		if err := checkPitrUnmarked(tx, p, BucketID(to)); err != nil {
			return nil, err
		}
	}
	w := newRecordWriter(tx, to.GetOrg())
	for _, s := range schedules {
		s.StorageId = to.GetId()
		if err := w.putSchedule(s); err != nil {
			return nil, err
		}
	}
	for _, p := range pitrs {
		p.StorageId = to.GetId()
		if err := w.putPitr(p); err != nil {
			return nil, err
		}
	}
	return &pb.Result{Schedules: uint32(len(schedules)), Pitrs: uint32(len(pitrs))}, w.flush()
}
