package catalog

import (
	"bytes"
	"errors"
	"maps"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

func putDestination(tx *writeTx, m *pb.PutDestination) (*pb.Result, error) {
	d := m.GetDestination()
	if err := checkDestination(d); err != nil {
		return nil, err
	}
	old, err := load[pb.Destination](tx.bucket(inDestinations), []byte(d.GetId()))
	if err != nil {
		return nil, err
	}
	switch {
	case m.GetCreate() && old != nil:
		return nil, refuse(CodeConflict, "storage destination %q exists", d.GetId())
	case m.GetCreate():
		d.Revision, d.Verified, d.Conditions, d.KeyMapping, d.Reseals, d.Places, d.DeletedAt = 1, false, nil, nil, 0, nil, 0
		if err := continueTombstone(tx, d); err != nil {
			return nil, err
		}
	case old == nil || old.GetOrg() != d.GetOrg():
		return nil, notFound("storage destination", d.GetId())
	case m.GetBaseUpdatedAt() != 0 && (m.GetBaseUpdatedAt() != old.GetUpdatedAt() || d.GetReseals() != old.GetReseals()):
		return nil, refuse(CodeConflict, "storage destination %q was changed meanwhile", d.GetId())
	default:
		inherit(d, old)
		if m.GetKeepPlace() && d.GetRevision() != old.GetRevision() {
			keepPlace(d, old)
		}
	}
	if err := checkRelocation(tx, d, old); err != nil {
		return nil, err
	}

	changed := deltas{}
	noteStemRule(tx, d.GetOrg(), d.GetId(), StemRule(old), StemRule(d), changed)
	if old != nil && (d.GetRevision() != old.GetRevision() || !maps.EqualFunc(d.GetSealed(), old.GetSealed(), bytes.Equal)) {
		if err := expireProof(tx, d); err != nil {
			return nil, err
		}
	}
	if old != nil && d.GetRevision() != old.GetRevision() {
		if err := dropScans(tx, old, "the destination now lies elsewhere", d.GetUpdatedAt()); err != nil {
			return nil, err
		}
		if err := tx.bucket(inDestinationsByBucket).Delete(join(BucketID(old), d.GetId())); err != nil {
			return nil, err
		}
	}
	if err := firstError(
		store(tx.bucket(inDestinations), []byte(d.GetId()), d),
		tx.bucket(inDestinationsByOrg).Put(join(d.GetOrg(), d.GetId()), []byte{}),
		tx.bucket(inDestinationsByBucket).Put(join(BucketID(d), d.GetId()), []byte{}),
		tx.bucket(inTombstones).Delete(join(d.GetOrg(), d.GetId())),
	); err != nil {
		return nil, err
	}
	if err := addHome(tx, d, changed); err != nil {
		return nil, err
	}
	if old == nil || d.GetRevision() != old.GetRevision() {
		if err := listStrays(tx, d); err != nil {
			return nil, err
		}
	}
	if err := putDeltas(tx, changed); err != nil {
		return nil, err
	}
	if old != nil {
		if err := firstError(dropHomes(tx, d.GetOrg(), d.GetId()), pruneDeltas(tx, BucketID(old))); err != nil {
			return nil, err
		}
	}
	return &pb.Result{Id: d.GetId()}, nil
}

// checkRelocation refuses to move a destination out of a bucket in which it has an open
// deletion, or its records into a bucket with marks: no new links may appear where files
// are being deleted. Marks are not compared file by file, since deletions are short and
// moves rare.
func checkRelocation(tx *writeTx, d, old *pb.Destination) error {
	if old != nil && d.GetRevision() != old.GetRevision() {
		if err := checkNoDeletes(tx, old); err != nil {
			return err
		}
	}
	if err := checkStemRule(tx, d.GetOrg(), d.GetId(), StemRule(old), StemRule(d)); err != nil {
		return err
	}
	if old != nil && BucketID(d) == BucketID(old) {
		return nil
	}
	// A new destination has records when it reuses the id of a deleted one.
	n := loadCounters(tx.read, d.GetOrg(), d.GetId())
	if n.Backups+n.Pitr == 0 {
		return nil
	}
	err := checkPrefixUnmarked(tx, BucketID(d), d.GetOrg(), nil)
	if errors.Is(err, ErrBeingDeleted) {
		return refuse(CodeBeingDeleted, "files of bucket %q are being deleted: try again when that has finished", d.GetBucket())
	}
	return err
}

// inherit copies to an edited destination the fields that an edit does not set.
func inherit(d, old *pb.Destination) {
	d.CreatedAt, d.Revision, d.Verified = old.GetCreatedAt(), old.GetRevision(), old.GetVerified()
	d.Conditions, d.KeyMapping, d.Reseals = old.GetConditions(), old.GetKeyMapping(), old.GetReseals()
	d.Places, d.DeletedAt = old.GetPlaces(), 0
	if d.GetType() != old.GetType() || d.GetBucket() != old.GetBucket() || d.GetPath() != old.GetPath() ||
		d.GetRegion() != old.GetRegion() || d.GetEndpoint() != old.GetEndpoint() {
		d.Revision++
		d.Verified, d.Conditions, d.KeyMapping = false, nil, nil
	}
	if !maps.EqualFunc(d.GetSealed(), old.GetSealed(), bytes.Equal) {
		d.Verified = false // the credentials have changed
	}
}

func deleteDestination(tx *writeTx, m *pb.DeleteDestination) (*pb.Result, error) {
	d, err := tx.read.Destination(m.GetOrg(), m.GetId())
	if err != nil {
		return nil, err
	}
	if n := loadCounters(tx.read, d.GetOrg(), d.GetId()); n.Schedules+n.Pitr > 0 {
		return nil, refuse(CodeInUse, "storage destination %q is used by %d schedules and %d PITR configurations: migrate or delete them first",
			d.GetId(), n.Schedules, n.Pitr)
	}
	if err := firstError(checkNoDeletes(tx, d), checkStemRule(tx, d.GetOrg(), d.GetId(), StemRule(d), keyspace.FirstDot)); err != nil {
		return nil, err
	}
	changed := deltas{}
	noteStemRule(tx, d.GetOrg(), d.GetId(), StemRule(d), keyspace.FirstDot, changed)
	if err := dropScans(tx, d, "", 0); err != nil {
		return nil, err
	}
	for _, id := range keysOf(tx.bucket(inSyncsByDestination), under(d.GetOrg(), d.GetId())) {
		if err := dropSync(tx, d.GetOrg(), d.GetId(), id); err != nil {
			return nil, err
		}
	}
	if err := firstError(
		tx.bucket(inDestinations).Delete([]byte(d.GetId())),
		tx.bucket(inChanges).Delete(join(d.GetOrg(), d.GetId())),
		tx.bucket(inDestinationsByOrg).Delete(join(d.GetOrg(), d.GetId())),
		tx.bucket(inDestinationsByBucket).Delete(join(BucketID(d), d.GetId())),
	); err != nil {
		return nil, err
	}
	// Its backup records and their links stay, since the files still exist.
	return &pb.Result{}, firstError(putDeltas(tx, changed), forgetStrays(tx, d.GetOrg(), d.GetId()), bury(tx, d, m.GetAt()), dropHomes(tx, d.GetOrg(), d.GetId()), pruneDeltas(tx, BucketID(d)))
}

// dropScans drops the generation of a destination, with its holders, and cancels its
// sync.
func dropScans(tx *writeTx, d *pb.Destination, why string, at int64) error {
	if err := firstError(dropGeneration(tx, d.GetId()), drop(tx.bucket(inHolders), under(d.GetId()))); err != nil {
		return err
	}
	id := runningSyncID(tx.read, d.GetId())
	if id == "" {
		return nil
	}
	s, err := load[pb.Sync](tx.bucket(inSyncs), []byte(id))
	if err != nil {
		return err
	}
	if s == nil {
		return damaged("sync %q runs and has no record", id)
	}
	return endSync(tx, s, SyncCancelled, why, at)
}
