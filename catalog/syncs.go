package catalog

import (
	"bytes"
	"slices"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// keptSyncs is how many syncs of a destination are kept, the running one apart.
const keptSyncs = 100

func (b *batch) startSync(m *pb.StartSync) (*pb.Result, error) {
	d, err := b.Destination(m.GetOrg(), m.GetDestinationId())
	if err != nil {
		return nil, err
	}
	if id := b.running(d.GetId()); id != "" {
		return &pb.Result{SyncId: id, Id: id}, nil
	}
	if err := checkID("sync id", m.GetSyncId()); err != nil {
		return nil, err
	}
	if b.bucket(inSyncs).Get([]byte(m.GetSyncId())) != nil {
		return nil, refuse(CodeConflict, "sync %q exists", m.GetSyncId())
	}
	start, end := KeySpace(d)
	s := &pb.Sync{
		Id: m.GetSyncId(), Org: d.GetOrg(), DestinationId: d.GetId(), Status: SyncRunning, StartedAt: m.GetAt(),
		Start: start, End: end, Revision: d.GetRevision(), StartedIndex: b.index,
	}
	if err := firstError(
		store(b.bucket(inSyncs), []byte(s.GetId()), s),
		b.bucket(inSyncsByOrg).Put(join(s.GetOrg(), s.GetId()), []byte{}),
		b.bucket(inSyncsByDestination).Put(join(s.GetOrg(), d.GetId(), s.GetId()), []byte{}),
		b.bucket(inRunning).Put([]byte(d.GetId()), []byte(s.GetId())),
	); err != nil {
		return nil, err
	}
	ids := keysOf(b.bucket(inSyncsByDestination), under(s.GetOrg(), d.GetId()))
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == s.GetId() })
	for _, id := range ids[:max(0, len(ids)+1-keptSyncs)] {
		if err := b.dropSync(s.GetOrg(), d.GetId(), id); err != nil {
			return nil, err
		}
	}
	return &pb.Result{SyncId: s.GetId(), Id: s.GetId()}, nil
}

// dropSync forgets a sync that has ended. A generation that it made stays.
func (b *batch) dropSync(org, destID, id string) error {
	return firstError(
		b.bucket(inSyncs).Delete([]byte(id)),
		b.bucket(inSyncsByOrg).Delete(join(org, id)),
		b.bucket(inSyncsByDestination).Delete(join(org, destID, id)),
	)
}

// runningSync reads a sync that must not have ended.
func (b *batch) runningSync(id string) (*pb.Sync, error) {
	s, err := load[pb.Sync](b.bucket(inSyncs), []byte(id))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, missing("sync", id)
	}
	if b.running(s.GetDestinationId()) != id {
		return nil, refuse(CodeConflict, "sync %q has ended: it is %s", id, s.GetStatus())
	}
	return s, nil
}

// endSync ends a running sync. Segments are kept only of a completed one.
func (b *batch) endSync(s *pb.Sync, status, why string, at int64) error {
	s.Status, s.Error, s.FinishedAt = status, why, at
	if err := firstError(
		store(b.bucket(inSyncs), []byte(s.GetId()), s),
		b.bucket(inRunning).Delete([]byte(s.GetDestinationId())),
	); err != nil {
		return err
	}
	if status == SyncCompleted {
		// Nobody reads an older generation any more.
		return b.dropHolders(s.GetDestinationId(), func(generation string) bool { return generation != s.GetId() })
	}
	return firstError(
		drop(b.bucket(inSegments), under(s.GetId())),
		b.dropHolders(s.GetDestinationId(), func(generation string) bool { return generation == s.GetId() }),
	)
}

func (b *batch) finishSync(m *pb.FinishSync) (*pb.Result, error) {
	if m.GetStatus() != SyncFailed && m.GetStatus() != SyncCancelled {
		return nil, refuse(CodeInvalid, "a sync cannot be finished as %q, only as %s or %s", m.GetStatus(), SyncFailed, SyncCancelled)
	}
	s, err := b.runningSync(m.GetSyncId())
	if err != nil {
		return nil, err
	}
	d, err := b.Destination(s.GetOrg(), s.GetDestinationId())
	if err != nil {
		return nil, err
	}
	if err := b.endSync(s, m.GetStatus(), m.GetError(), m.GetAt()); err != nil {
		return nil, err
	}
	return &pb.Result{}, b.pruneDeltas(BucketID(d))
}

func (b *batch) sealSegments(m *pb.SealSegments) (*pb.Result, error) {
	s, err := b.runningSync(m.GetSyncId())
	if err != nil {
		return nil, err
	}
	var fresh []*pb.Segment
	for _, g := range m.GetSegments() {
		near, err := b.neighbours(s.GetId(), g.GetStart())
		if err != nil {
			return nil, err
		}
		known, err := b.checkSegment(s, g, append(near, fresh...))
		if err != nil {
			return nil, err
		}
		if !known {
			fresh = append(fresh, g)
		}
	}
	for _, g := range fresh {
		if err := store(b.bucket(inSegments), append(under(s.GetId()), g.GetStart()...), g); err != nil {
			return nil, err
		}
		s.Segments++
		s.FilesScanned += g.GetFiles()
		s.BytesScanned += g.GetBytes()
		s.OrphanFiles += g.GetOrphans()
		s.MissingBackups += g.GetMissing()
	}
	return &pb.Result{}, store(b.bucket(inSyncs), []byte(s.GetId()), s)
}

func (b *batch) unsealSegments(m *pb.UnsealSegments) (*pb.Result, error) {
	s, err := b.runningSync(m.GetSyncId())
	if err != nil {
		return nil, err
	}
	sealed, err := b.Segments(s.GetId())
	if err != nil {
		return nil, err
	}
	for _, g := range sealed {
		if !slices.Contains(m.GetIds(), g.GetId()) {
			continue
		}
		if err := b.bucket(inSegments).Delete(append(under(s.GetId()), g.GetStart()...)); err != nil {
			return nil, err
		}
		s.Segments--
		s.FilesScanned -= g.GetFiles()
		s.BytesScanned -= g.GetBytes()
		s.OrphanFiles -= g.GetOrphans()
		s.MissingBackups -= g.GetMissing()
	}
	return &pb.Result{}, store(b.bucket(inSyncs), []byte(s.GetId()), s)
}

// neighbours are the sealed segments of a sync that begin last before a key, and first
// at or behind it: a segment that begins there overlaps one of them, or none.
func (b *batch) neighbours(syncID string, start []byte) (near []*pb.Segment, err error) {
	add := func(k, v []byte) error {
		g, err := parse[pb.Segment](k, v)
		near = append(near, g)
		return err
	}
	all, prefix := b.bucket(inSegments), under(syncID)
	if len(start) > 0 {
		for k, v := range scanBefore(all, prefix, string(start)) {
			if err := add(k, v); err != nil {
				return nil, err
			}
			break
		}
	}
	at := append(bytes.Clone(prefix), start...)
	if k, v := all.Cursor().Seek(at); bytes.HasPrefix(k, prefix) {
		err = add(k, v)
	}
	return near, err
}

// checkSegment tells whether a segment fits among others of its sync, or is one of them
// (a command that was sent twice).
func (b *batch) checkSegment(s *pb.Sync, g *pb.Segment, others []*pb.Segment) (known bool, err error) {
	if err := checkID("segment id", g.GetId()); err != nil {
		return false, err
	}
	if len(g.GetStart()) > 2*maxKey || len(g.GetEnd()) > 2*maxKey {
		return false, refuse(CodeInvalid, "the bounds of segment %q are longer than any key", g.GetId())
	}
	if !keyspace.BeforeEnd(g.GetStart(), g.GetEnd()) || bytes.Compare(g.GetStart(), s.GetStart()) < 0 ||
		len(s.GetEnd()) > 0 && (len(g.GetEnd()) == 0 || bytes.Compare(g.GetEnd(), s.GetEnd()) > 0) {
		return false, refuse(CodeInvalid, "segment %q [%q, %q) is empty or outside of its sync's [%q, %q)",
			g.GetId(), g.GetStart(), g.GetEnd(), s.GetStart(), s.GetEnd())
	}
	if g.GetClassifiedAt() < s.GetStartedIndex() || g.GetClassifiedAt() >= b.index {
		return false, refuse(CodeInvalid, "segment %q was classified at index %d, not between the start of its sync at %d and now at %d",
			g.GetId(), g.GetClassifiedAt(), s.GetStartedIndex(), b.index)
	}
	for _, other := range others {
		if other.GetId() == g.GetId() && bytes.Equal(other.GetStart(), g.GetStart()) && bytes.Equal(other.GetEnd(), g.GetEnd()) {
			return true, nil
		}
		if keyspace.BeforeEnd(g.GetStart(), other.GetEnd()) && keyspace.BeforeEnd(other.GetStart(), g.GetEnd()) {
			return false, refuse(CodeConflict, "segment %q [%q, %q) overlaps segment %q [%q, %q)",
				g.GetId(), g.GetStart(), g.GetEnd(), other.GetId(), other.GetStart(), other.GetEnd())
		}
	}
	return false, nil
}

func (b *batch) promoteSync(m *pb.PromoteSync) (*pb.Result, error) {
	s, err := b.runningSync(m.GetSyncId())
	if err != nil {
		return nil, err
	}
	d, err := b.Destination(s.GetOrg(), s.GetDestinationId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != s.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed while sync %q ran", d.GetId(), s.GetId())
	}
	g := &pb.Generation{
		Id: s.GetId(), Org: s.GetOrg(), DestinationId: d.GetId(), StartedAt: s.GetStartedAt(), PromotedAt: m.GetAt(), Revision: s.GetRevision(),
		Files: s.GetFilesScanned(), Bytes: s.GetBytesScanned(), Orphans: s.GetOrphanFiles(), Missing: s.GetMissingBackups(),
	}
	if g.ClassifiedAt, err = b.checkTiling(s); err != nil {
		return nil, err
	}
	if err := firstError(
		b.dropGeneration(d.GetId()),
		store(b.bucket(inGenerations), []byte(d.GetId()), g),
		b.endSync(s, SyncCompleted, "", m.GetAt()),
	); err != nil {
		return nil, err
	}
	return &pb.Result{}, b.pruneDeltas(BucketID(d))
}

// checkTiling refuses a sync whose segments leave a gap. They cannot overlap:
// sealSegments has seen to that. It gives the least index that one of them was
// classified at.
func (b *batch) checkTiling(s *pb.Sync) (classifiedAt uint64, err error) {
	segments, err := b.Segments(s.GetId())
	if err != nil {
		return 0, err
	}
	gap := func(start, end []byte) error {
		return refuse(CodeConflict, "sync %q is not complete: no segment covers [%q, %q)", s.GetId(), start, end)
	}
	reached := s.GetStart()
	for _, g := range segments {
		if !bytes.Equal(g.GetStart(), reached) {
			return 0, gap(reached, g.GetStart())
		}
		reached = g.GetEnd()
		if classifiedAt == 0 || g.GetClassifiedAt() < classifiedAt {
			classifiedAt = g.GetClassifiedAt()
		}
	}
	if len(segments) == 0 || !bytes.Equal(reached, s.GetEnd()) {
		return 0, gap(reached, s.GetEnd())
	}
	return classifiedAt, nil
}

// dropGeneration forgets the generation of a destination, if it has one.
func (b *batch) dropGeneration(destID string) error {
	g, err := load[pb.Generation](b.bucket(inGenerations), []byte(destID))
	if err != nil || g == nil {
		return err
	}
	return firstError(
		drop(b.bucket(inSegments), under(g.GetId())),
		b.bucket(inGenerations).Delete([]byte(destID)),
	)
}
