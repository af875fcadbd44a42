package catalog

import (
	"bytes"
	"encoding/binary"
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

// Sync reads one sync.
func (tx *Tx) Sync(org, id string) (*pb.Sync, error) {
	s, err := load[pb.Sync](tx.bucket(inSyncs), []byte(id))
	if err == nil && (s == nil || s.GetOrg() != org) {
		err = missing("sync", id)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Syncs lists syncs from the greatest id (ids are ULIDs: the newest) down: those
// of a destination, or of the whole organisation when destID is empty. before is
// the last id seen; limit <= 0 lists all that are kept.
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

// LastSync reads the newest sync of a destination.
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

// RunningSyncs lists the syncs of all organisations that have not ended, by id.
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

// running is the id of a destination's running sync, or empty.
func (tx *Tx) running(destID string) string {
	return string(tx.bucket(inRunning).Get([]byte(destID)))
}

// Segments lists the sealed segments of a running sync, or of a promoted one
// while it is its destination's generation, by start.
func (tx *Tx) Segments(syncID string) ([]*pb.Segment, error) {
	return list[pb.Segment](tx.bucket(inSegments), under(syncID), "", 0)
}

// Generation reads what was last promoted for a destination; ErrNotFound before
// the first, and after its bucket, path, region or endpoint has changed.
func (tx *Tx) Generation(destID string) (*pb.Generation, error) {
	g, err := load[pb.Generation](tx.bucket(inGenerations), []byte(destID))
	if err == nil && g == nil {
		err = refuse(CodeNotFound, "storage destination %q has no generation yet: sync it", destID)
	}
	return g, err
}

// IndexedDelta is a delta and the index of the log entry that made it.
type IndexedDelta struct {
	Index uint64
	Delta *pb.Delta
}

// Deltas lists the deltas of a bucket in ascending order, from the first whose
// index is greater than after; limit <= 0 lists all.
func (tx *Tx) Deltas(bucketID string, after uint64, limit int) ([]IndexedDelta, error) {
	var all []IndexedDelta
	for k, v := range scanAfter(tx.nested(inDeltas, bucketID), nil, string(index8(after))) {
		d, err := parse[pb.Delta](k, v)
		if err != nil {
			return nil, err
		}
		if all = append(all, IndexedDelta{binary.BigEndian.Uint64(k), d}); len(all) == limit {
			break
		}
	}
	return all, nil
}

// LastDelta is the index of the newest delta of a bucket, 0 when none is kept.
func (tx *Tx) LastDelta(bucketID string) uint64 {
	b := tx.nested(inDeltas, bucketID)
	if b == nil {
		return 0
	}
	k, _ := b.Cursor().Last()
	if k == nil {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

// PitrPrefixes lists, sorted and each once, the prefixes of a bucket that a PITR
// configuration of any organisation writes under or ever wrote under.
func (tx *Tx) PitrPrefixes(bucketID string) ([][]byte, error) {
	var all [][]byte
	for k := range scan(tx.bucket(inPrefixes), under(bucketID)) {
		parts := strings.SplitN(string(k), "\x00", 3)
		all = append(all, []byte(parts[2]))
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal), nil
}

// Token reads a token by its id.
func (tx *Tx) Token(id string) (*pb.Token, error) {
	t, err := load[pb.Token](tx.bucket(inTokens), []byte(id))
	if err == nil && t == nil {
		err = missing("token", id)
	}
	return t, err
}

// TokenByHash finds the token that was presented (see HashToken).
func (tx *Tx) TokenByHash(hash []byte) (*pb.Token, error) {
	id := tx.bucket(inTokensByHash).Get(hash)
	if len(hash) == 0 || id == nil {
		return nil, refuse(CodeNotFound, "the token is not known")
	}
	return tx.Token(string(id))
}

// Tokens lists all tokens by id.
func (tx *Tx) Tokens() ([]*pb.Token, error) {
	return list[pb.Token](tx.bucket(inTokens), nil, "", 0)
}
