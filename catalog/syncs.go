package catalog

import (
	"slices"

	pb "firescan/catalog/catalogpb"
)

// keptSyncs is how many syncs of a destination are kept, besides the running one.
const keptSyncs = 100

func startSync(tx *writeTx, m *pb.StartSync) (*pb.Result, error) {
	d, err := tx.read.Destination(m.GetOrg(), m.GetDestinationId())
	if err != nil {
		return nil, err
	}
	if id := runningSyncID(tx.read, d.GetId()); id != "" {
		return &pb.Result{SyncId: id, Id: id}, nil
	}
	if err := checkID("sync id", m.GetSyncId()); err != nil {
		return nil, err
	}
	if tx.bucket(inSyncs).Get([]byte(m.GetSyncId())) != nil {
		return nil, refuse(CodeConflict, "sync %q exists", m.GetSyncId())
	}
	start, end := KeySpace(d)
	s := &pb.Sync{
		Id: m.GetSyncId(), Org: d.GetOrg(), DestinationId: d.GetId(), Status: SyncRunning, StartedAt: m.GetAt(),
		Start: start, End: end, Revision: d.GetRevision(), StartedIndex: tx.index,
	}
	if err := firstError(
		store(tx.bucket(inSyncs), []byte(s.GetId()), s),
		tx.bucket(inSyncsByOrg).Put(join(s.GetOrg(), s.GetId()), []byte{}),
		tx.bucket(inSyncsByDestination).Put(join(s.GetOrg(), d.GetId(), s.GetId()), []byte{}),
		tx.bucket(inRunning).Put([]byte(d.GetId()), []byte(s.GetId())),
	); err != nil {
		return nil, err
	}
	ids := keysOf(tx.bucket(inSyncsByDestination), under(s.GetOrg(), d.GetId()))
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == s.GetId() })
	for _, id := range ids[:max(0, len(ids)+1-keptSyncs)] {
		if err := dropSync(tx, s.GetOrg(), d.GetId(), id); err != nil {
			return nil, err
		}
	}
	return &pb.Result{SyncId: s.GetId(), Id: s.GetId()}, nil
}

func finishSync(tx *writeTx, m *pb.FinishSync) (*pb.Result, error) {
	if m.GetStatus() != SyncFailed && m.GetStatus() != SyncCancelled {
		return nil, refuse(CodeInvalid, "a sync cannot be finished as %q, only as %s or %s", m.GetStatus(), SyncFailed, SyncCancelled)
	}
	s, err := loadRunningSync(tx, m.GetSyncId())
	if err != nil {
		return nil, err
	}
	d, err := tx.read.Destination(s.GetOrg(), s.GetDestinationId())
	if err != nil {
		return nil, err
	}
	s.Cause = m.GetCause()
	if err := endSync(tx, s, m.GetStatus(), m.GetError(), m.GetAt()); err != nil {
		return nil, err
	}
	return &pb.Result{}, pruneDeltas(tx, BucketID(d))
}

// dropSync removes the record of a sync that has ended. A generation that it made stays.
func dropSync(tx *writeTx, org, destID, id string) error {
	return firstError(
		tx.bucket(inSyncs).Delete([]byte(id)),
		tx.bucket(inSyncsByOrg).Delete(join(org, id)),
		tx.bucket(inSyncsByDestination).Delete(join(org, destID, id)),
	)
}

// loadRunningSync returns a sync that must not have ended.
func loadRunningSync(tx *writeTx, id string) (*pb.Sync, error) {
	s, err := load[pb.Sync](tx.bucket(inSyncs), []byte(id))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, notFound("sync", id)
	}
	if runningSyncID(tx.read, s.GetDestinationId()) != id {
		return nil, refuse(CodeConflict, "sync %q has ended: it is %s", id, s.GetStatus())
	}
	return s, nil
}

// endSync ends a running sync. Segments are kept only of a completed one.
func endSync(tx *writeTx, s *pb.Sync, status, why string, at int64) error {
	s.Status, s.Error, s.FinishedAt = status, why, at
	if err := firstError(
		store(tx.bucket(inSyncs), []byte(s.GetId()), s),
		tx.bucket(inRunning).Delete([]byte(s.GetDestinationId())),
	); err != nil {
		return err
	}
	if status == SyncCompleted {
		// Nobody reads an older generation any more.
		return dropHolders(tx, s.GetDestinationId(), func(generation string) bool { return generation != s.GetId() })
	}
	return firstError(
		drop(tx.bucket(inSegments), under(s.GetId())),
		dropHolders(tx, s.GetDestinationId(), func(generation string) bool { return generation == s.GetId() }),
	)
}
