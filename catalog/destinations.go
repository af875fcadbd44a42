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
		d.Revision, d.Verified, d.Conditions, d.Reseals = 1, false, nil, 0
	case old == nil || old.GetOrg() != d.GetOrg():
		return nil, missing("storage destination", d.GetId())
	case m.GetBaseUpdatedAt() != 0 && (m.GetBaseUpdatedAt() != old.GetUpdatedAt() || d.GetReseals() != old.GetReseals()):
		return nil, refuse(CodeConflict, "storage destination %q was changed meanwhile", d.GetId())
	default:
		inherit(d, old)
	}
	if err := b.checkMove(d, old); err != nil {
		return nil, err
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
	return &pb.Result{Id: d.GetId()}, nil
}

// checkMove refuses to take a destination away from a deletion, or its records into one:
// where files are being deleted, no new links may come. The latter is not looked at file by
// file, since deletions end soon and moves are rare.
func (b *batch) checkMove(d, old *pb.Destination) error {
	if old != nil && d.GetRevision() != old.GetRevision() {
		if err := b.checkNoDeletes(old); err != nil {
			return err
		}
	}
	if old != nil && BucketID(d) == BucketID(old) {
		return nil
	}
	// A new destination has records when it has the id of one that was deleted.
	n := b.counters(d.GetOrg(), d.GetId())
	if n.Backups+n.Pitr > 0 && b.nested(inMarks, BucketID(d)) != nil {
		return refuse(CodeBeingDeleted, "files of bucket %q are being deleted: try again when that has finished", d.GetBucket())
	}
	return nil
}

// inherit gives an edited destination the fields that an edit does not set.
func inherit(d, old *pb.Destination) {
	d.CreatedAt, d.Revision, d.Verified = old.GetCreatedAt(), old.GetRevision(), old.GetVerified()
	d.Conditions, d.Reseals = old.GetConditions(), old.GetReseals()
	if d.GetType() != old.GetType() || d.GetBucket() != old.GetBucket() || d.GetPath() != old.GetPath() ||
		d.GetRegion() != old.GetRegion() || d.GetEndpoint() != old.GetEndpoint() {
		d.Revision++
		d.Verified, d.Conditions = false, nil
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
	if err := b.checkNoDeletes(d); err != nil {
		return nil, err
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

// forgetScans drops the generation of a destination, with its holders, and cancels its sync.
func (b *batch) forgetScans(d *pb.Destination, why string, at int64) error {
	if err := firstError(b.dropGeneration(d.GetId()), drop(b.bucket(inHolders), under(d.GetId()))); err != nil {
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
