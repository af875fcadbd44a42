package catalog

import (
	"slices"
	"strings"

	pb "firescan/catalog/catalogpb"
)

// The states of a sync.
const (
	SyncQueued    = "queued"
	SyncRunning   = "running"
	SyncCompleted = "completed"
	SyncFailed    = "failed"
	SyncCancelled = "cancelled"
)

// Sync returns one sync.
func (tx *Tx) Sync(org, id string) (*pb.Sync, error) {
	s, err := load[pb.Sync](tx.bucket(inSyncs), []byte(id))
	if err == nil && (s == nil || s.GetOrg() != org) {
		err = notFound("sync", id)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Syncs returns syncs in descending order of id (ids are ULIDs: newest first): those of a
// destination, or of the whole organization when destID is empty. before is the last id
// seen; limit <= 0 returns all.
func (tx *Tx) Syncs(org, destID, before string, limit int) ([]*pb.Sync, error) {
	index, prefix := tx.bucket(inSyncsByOrg), under(org)
	if destID != "" {
		index, prefix = tx.bucket(inSyncsByDestination), under(org, destID)
	}
	var all []*pb.Sync
	for id := range scanBefore(index, prefix, before) {
		s, err := load[pb.Sync](tx.bucket(inSyncs), id)
		if err != nil {
			return nil, err
		}
		if all = append(all, s); len(all) == limit {
			break
		}
	}
	return all, nil
}

// LastSync returns the newest sync of a destination.
func (tx *Tx) LastSync(org, destID string) (*pb.Sync, error) {
	all, err := tx.Syncs(org, destID, "", 1)
	if err == nil && len(all) == 0 {
		err = refuse(CodeNotFound, "storage destination %q was never synced", destID)
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// RunningSyncs returns the running syncs of all organizations by id.
func (tx *Tx) RunningSyncs() ([]*pb.Sync, error) {
	var all []*pb.Sync
	for _, id := range scan(tx.bucket(inRunning), nil) {
		s, err := load[pb.Sync](tx.bucket(inSyncs), id)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *pb.Sync) int { return strings.Compare(a.GetId(), b.GetId()) })
	return all, nil
}

// runningSyncID returns the id of the running sync of a destination, empty if none.
func runningSyncID(tx *Tx, destID string) string {
	return string(tx.bucket(inRunning).Get([]byte(destID)))
}

// Segments returns the sealed segments of a running sync, or of a promoted one while it
// is the generation of its destination, by start.
func (tx *Tx) Segments(syncID string) ([]*pb.Segment, error) {
	return list[pb.Segment](tx.bucket(inSegments), under(syncID), "", 0)
}

// Generation returns the promoted generation of a destination; ErrNotFound before the
// first, and after its bucket, path, region or endpoint has changed.
func (tx *Tx) Generation(destID string) (*pb.Generation, error) {
	g, err := load[pb.Generation](tx.bucket(inGenerations), []byte(destID))
	if err == nil && g == nil {
		err = refuse(CodeNotFound, "storage destination %q has no generation yet: sync it", destID)
	}
	return g, err
}
