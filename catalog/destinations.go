package catalog

import (
	"bytes"
	"fmt"
	"maps"

	pb "firescan/catalog/catalogpb"
)

func (b *batch) putDestination(m *pb.PutDestination) (*pb.Result, error) {
	d := m.GetDestination()
	if err := checkDestination(d); err != nil {
		return nil, err
	}
	old, err := load[pb.Destination](b.bucket(inDestinations), []byte(d.GetId()))
	if err != nil {
		return nil, err
	}
	switch {
	case m.GetCreate() && old != nil:
		return nil, refuse(CodeConflict, "storage destination %q exists", d.GetId())
	case m.GetCreate():
		d.Revision, d.Verified = 1, false
	case old == nil || old.GetOrg() != d.GetOrg():
		return nil, missing("storage destination", d.GetId())
	case m.GetBaseUpdatedAt() != 0 && m.GetBaseUpdatedAt() != old.GetUpdatedAt():
		return nil, refuse(CodeConflict, "storage destination %q was changed meanwhile", d.GetId())
	default:
		inherit(d, old)
	}

	changed := deltas{}
	if old != nil && d.GetRevision() != old.GetRevision() {
		if err := b.forgetScans(old, "the destination now lies elsewhere", d.GetUpdatedAt()); err != nil {
			return nil, err
		}
		if err := b.bucket(inDestinationsByBucket).Delete(join(BucketID(old), d.GetId())); err != nil {
			return nil, err
		}
	}
	if err := firstError(
		store(b.bucket(inDestinations), []byte(d.GetId()), d),
		b.bucket(inDestinationsByOrg).Put(join(d.GetOrg(), d.GetId()), []byte{}),
		b.bucket(inDestinationsByBucket).Put(join(BucketID(d), d.GetId()), []byte{}),
	); err != nil {
		return nil, err
	}
	if err := b.moveIn(d, changed); err != nil {
		return nil, err
	}
	if err := b.putDeltas(changed); err != nil {
		return nil, err
	}
	if old != nil {
		if err := firstError(b.moveOut(d.GetOrg(), d.GetId()), b.pruneDeltas(BucketID(old))); err != nil {
			return nil, err
		}
	}
	return &pb.Result{}, nil
}

// inherit gives an edited destination the fields that an edit does not set.
func inherit(d, old *pb.Destination) {
	d.CreatedAt, d.Revision, d.Verified = old.GetCreatedAt(), old.GetRevision(), old.GetVerified()
	if d.GetType() != old.GetType() || d.GetBucket() != old.GetBucket() || d.GetPath() != old.GetPath() ||
		d.GetRegion() != old.GetRegion() || d.GetEndpoint() != old.GetEndpoint() {
		d.Revision++
		d.Verified = false
	}
	if !maps.EqualFunc(d.GetSealed(), old.GetSealed(), bytes.Equal) {
		d.Verified = false // of other credentials
	}
}

func (b *batch) deleteDestination(m *pb.DeleteDestination) (*pb.Result, error) {
	d, err := b.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if n := b.counters(d.GetOrg(), d.GetId()); n.Schedules+n.Pitr > 0 {
		return nil, refuse(CodeInUse, "storage destination %q is used by %d schedules and %d PITR configurations: migrate or delete them first",
			d.GetId(), n.Schedules, n.Pitr)
	}
	if err := b.forgetScans(d, "", 0); err != nil {
		return nil, err
	}
	for _, id := range keysOf(b.bucket(inSyncsByDestination), under(d.GetOrg(), d.GetId())) {
		if err := b.dropSync(d.GetOrg(), d.GetId(), id); err != nil {
			return nil, err
		}
	}
	if err := firstError(
		b.bucket(inDestinations).Delete([]byte(d.GetId())),
		b.bucket(inDestinationsByOrg).Delete(join(d.GetOrg(), d.GetId())),
		b.bucket(inDestinationsByBucket).Delete(join(BucketID(d), d.GetId())),
	); err != nil {
		return nil, err
	}
	// Its backup records and their links stay: the files are there still.
	return &pb.Result{}, firstError(b.moveOut(d.GetOrg(), d.GetId()), b.pruneDeltas(BucketID(d)))
}

// forgetScans drops the generation of a destination and cancels its sync.
func (b *batch) forgetScans(d *pb.Destination, why string, at int64) error {
	if err := b.dropGeneration(d.GetId()); err != nil {
		return err
	}
	id := b.running(d.GetId())
	if id == "" {
		return nil
	}
	s, err := load[pb.Sync](b.bucket(inSyncs), []byte(id))
	if err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("the catalog is damaged: sync %q runs and has no record", id)
	}
	return b.endSync(s, SyncCancelled, why, at)
}

func (b *batch) setVerified(m *pb.SetVerified) (*pb.Result, error) {
	d, err := b.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != m.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed while it was verified: verify it again", d.GetId())
	}
	if d.GetVerified() == m.GetVerified() {
		return &pb.Result{}, nil
	}
	d.Verified, d.UpdatedAt = m.GetVerified(), m.GetAt()
	return &pb.Result{}, store(b.bucket(inDestinations), []byte(d.GetId()), d)
}
