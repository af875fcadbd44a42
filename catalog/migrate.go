package catalog

import (
	pb "firescan/catalog/catalogpb"
)

// migrate moves schedules and PITR configurations as if each were put again with the
// other destination, once it is sure that none will be refused.
func (b *batch) migrate(m *pb.Migrate) (*pb.Result, error) {
	if m.GetFromId() == m.GetToId() {
		return nil, refuse(CodeInvalid, "storage destination %q cannot be migrated to itself", m.GetFromId())
	}
	from, err := b.Destination(m.GetOrg(), m.GetFromId())
	if err != nil {
		return nil, err
	}
	to, err := b.Destination(m.GetOrg(), m.GetToId())
	if err != nil {
		return nil, err
	}
	schedules, err := b.Schedules(from.GetOrg(), from.GetId())
	if err != nil {
		return nil, err
	}
	pitrs, err := b.Pitrs(from.GetOrg(), from.GetId())
	if err != nil {
		return nil, err
	}
	for _, p := range pitrs {
		if err := b.checkClaimUnder(BucketID(to), p.GetPrefix()); err != nil {
			return nil, err
		}
	}
	f := b.feed(to.GetOrg())
	for _, s := range schedules {
		s.StorageId = to.GetId()
		if err := f.putSchedule(s); err != nil {
			return nil, err
		}
	}
	for _, p := range pitrs {
		p.StorageId = to.GetId()
		if err := f.putPitr(p); err != nil {
			return nil, err
		}
	}
	return &pb.Result{Schedules: uint32(len(schedules)), Pitrs: uint32(len(pitrs))}, f.finish()
}
