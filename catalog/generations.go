package catalog

import (
	pb "firescan/catalog/catalogpb"
)

func promoteSync(tx *writeTx, m *pb.PromoteSync) (*pb.Result, error) {
	s, err := loadRunningSync(tx, m.GetSyncId())
	if err != nil {
		return nil, err
	}
	d, err := tx.read.Destination(s.GetOrg(), s.GetDestinationId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != s.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed while sync %q ran", d.GetId(), s.GetId())
	}
	g := &pb.Generation{
		Id: s.GetId(), Org: s.GetOrg(), DestinationId: d.GetId(), StartedAt: s.GetStartedAt(), PromotedAt: m.GetAt(), Revision: s.GetRevision(),
		Files: s.GetFilesScanned(), Bytes: s.GetBytesScanned(), Orphans: s.GetOrphanFiles(),
	}
	segments, err := tx.read.Segments(s.GetId())
	if err != nil {
		return nil, err
	}
	if g.ClassifiedAt, err = checkTiling(s, segments); err != nil {
		return nil, err
	}
	s.MissingBackups -= countedTwice(segments)
	g.Missing = s.GetMissingBackups()
	if m.GetBaseline() {
		if err := setBaseline(tx, g, m); err != nil {
			return nil, err
		}
	}
	if err := firstError(
		dropGeneration(tx, d.GetId()),
		store(tx.bucket(inGenerations), []byte(d.GetId()), g),
		endSync(tx, s, SyncCompleted, "", m.GetAt()),
	); err != nil {
		return nil, err
	}
	return &pb.Result{}, pruneDeltas(tx, BucketID(d))
}

// dropGeneration removes the generation of a destination, if it has one.
func dropGeneration(tx *writeTx, destID string) error {
	g, err := load[pb.Generation](tx.bucket(inGenerations), []byte(destID))
	if err != nil || g == nil {
		return err
	}
	return firstError(
		drop(tx.bucket(inSegments), under(g.GetId())),
		tx.bucket(inGenerations).Delete([]byte(destID)),
	)
}
