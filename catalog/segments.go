package catalog

import (
	"bytes"
	"slices"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

func sealSegments(tx *writeTx, m *pb.SealSegments) (*pb.Result, error) {
	s, err := loadRunningSync(tx, m.GetSyncId())
	if err != nil {
		return nil, err
	}
	var fresh []*pb.Segment
	for _, g := range m.GetSegments() {
		near, err := neighborSegments(tx, s.GetId(), g.GetStart())
		if err != nil {
			return nil, err
		}
		known, err := checkSegment(tx, s, g, append(near, fresh...))
		if err != nil {
			return nil, err
		}
		if !known {
			fresh = append(fresh, g)
		}
	}
	for _, g := range fresh {
		if err := store(tx.bucket(inSegments), append(under(s.GetId()), g.GetStart()...), g); err != nil {
			return nil, err
		}
		s.Segments++
		s.FilesScanned += g.GetFiles()
		s.BytesScanned += g.GetBytes()
		s.OrphanFiles += g.GetOrphans()
		s.MissingBackups += g.GetMissing()
	}
	return &pb.Result{}, store(tx.bucket(inSyncs), []byte(s.GetId()), s)
}

func unsealSegments(tx *writeTx, m *pb.UnsealSegments) (*pb.Result, error) {
	s, err := loadRunningSync(tx, m.GetSyncId())
	if err != nil {
		return nil, err
	}
	sealed, err := tx.read.Segments(s.GetId())
	if err != nil {
		return nil, err
	}
	for _, g := range sealed {
		if !slices.Contains(m.GetIds(), g.GetId()) {
			continue
		}
		if err := tx.bucket(inSegments).Delete(append(under(s.GetId()), g.GetStart()...)); err != nil {
			return nil, err
		}
		s.Segments--
		s.FilesScanned -= g.GetFiles()
		s.BytesScanned -= g.GetBytes()
		s.OrphanFiles -= g.GetOrphans()
		s.MissingBackups -= g.GetMissing()
	}
	return &pb.Result{}, store(tx.bucket(inSyncs), []byte(s.GetId()), s)
}

// neighborSegments returns the sealed segments of a sync that begin last before a key and
// first at or after it. A segment that begins there can overlap only these.
func neighborSegments(tx *writeTx, syncID string, start []byte) (near []*pb.Segment, err error) {
	add := func(k, v []byte) error {
		g, err := parse[pb.Segment](k, v)
		near = append(near, g)
		return err
	}
	all, prefix := tx.bucket(inSegments), under(syncID)
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

// checkSegment checks that a segment fits between others of its sync. known is true when
// it is one of them (a command that was sent twice).
func checkSegment(tx *writeTx, s *pb.Sync, g *pb.Segment, others []*pb.Segment) (known bool, err error) {
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
	if g.GetClassifiedAt() < s.GetStartedIndex() || g.GetClassifiedAt() >= tx.index {
		return false, refuse(CodeInvalid, "segment %q was classified at index %d, not between the start of its sync at %d and now at %d",
			g.GetId(), g.GetClassifiedAt(), s.GetStartedIndex(), tx.index)
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

// checkTiling refuses a sync whose segments leave a gap; sealSegments has excluded
// overlaps. It returns the least index at which a segment was classified.
func checkTiling(s *pb.Sync, segments []*pb.Segment) (classifiedAt uint64, err error) {
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

// countedTwice returns how often segments count a missing backup that another one counts.
func countedTwice(segments []*pb.Segment) (n uint64) {
	seen := map[uint64]bool{}
	for _, g := range segments {
		for _, id := range g.GetMissingIds() {
			if seen[id] {
				n++
			}
			seen[id] = true
		}
	}
	return n
}
