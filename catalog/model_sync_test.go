package catalog

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// The part of the model that knows syncs.

func (m *model) applySync(msg proto.Message) string {
	id := msg.(interface{ GetSyncId() string }).GetSyncId()
	s := m.syncs[id]
	if s == nil {
		return CodeNotFound
	}
	if s.Status != SyncRunning {
		return CodeConflict
	}
	switch c := msg.(type) {
	case *pb.SealSegments:
		return m.seal(s, c.Segments)
	case *pb.UnsealSegments:
		m.unseal(s, c.Ids)
	case *pb.PromoteSync:
		return m.promote(s, c)
	case *pb.FinishSync:
		m.end(s, c.Status, c.Error, c.At)
		s.Cause = c.Cause
	}
	return ""
}

func (m *model) startSync(c *pb.StartSync) *pb.Result {
	d := m.destination(c.Org, c.DestinationId)
	if d == nil {
		return code(CodeNotFound, nil)
	}
	if s := m.running(d.Id); s != nil {
		return &pb.Result{SyncId: s.Id, Id: s.Id}
	}
	if m.syncs[c.SyncId] != nil {
		return code(CodeConflict, nil)
	}
	start, end := KeySpace(d)
	m.syncs[c.SyncId] = &pb.Sync{
		Id: c.SyncId, Org: d.Org, DestinationId: d.Id, Status: SyncRunning, StartedAt: c.At,
		Start: start, End: end, Revision: d.Revision, StartedIndex: m.index,
	}
	return &pb.Result{SyncId: c.SyncId, Id: c.SyncId}
}

func (m *model) seal(s *pb.Sync, segments []*pb.Segment) string {
	have := slices.Clone(m.segments[s.Id])
	next := proto.CloneOf(s)
	for _, g := range segments {
		outside := string(g.Start) < string(s.Start) || len(s.End) > 0 && (len(g.End) == 0 || string(g.End) > string(s.End))
		if outside || len(g.End) > 0 && string(g.End) <= string(g.Start) || g.ClassifiedAt < s.StartedIndex {
			return CodeInvalid
		}
		known := false
		for _, h := range have {
			if h.Id == g.Id && bytes.Equal(h.Start, g.Start) && bytes.Equal(h.End, g.End) {
				known = true
			} else if (len(h.End) == 0 || string(h.End) > string(g.Start)) && (len(g.End) == 0 || string(g.End) > string(h.Start)) {
				return CodeConflict
			}
		}
		if known {
			continue
		}
		have = append(have, g)
		next.Segments++
		next.FilesScanned += g.Files
		next.BytesScanned += g.Bytes
		next.OrphanFiles += g.Orphans
		next.MissingBackups += g.Missing
	}
	slices.SortFunc(have, byStart)
	m.segments[s.Id], m.syncs[s.Id] = have, next
	return ""
}

func (m *model) unseal(s *pb.Sync, ids []string) {
	next := proto.CloneOf(s)
	m.segments[s.Id] = slices.DeleteFunc(slices.Clone(m.segments[s.Id]), func(g *pb.Segment) bool {
		if !slices.Contains(ids, g.Id) {
			return false
		}
		next.Segments--
		next.FilesScanned -= g.Files
		next.BytesScanned -= g.Bytes
		next.OrphanFiles -= g.Orphans
		next.MissingBackups -= g.Missing
		return true
	})
	m.syncs[s.Id] = next
}

func (m *model) promote(s *pb.Sync, c *pb.PromoteSync) string {
	reached, closed := string(s.Start), false
	classified := uint64(1 << 62)
	for _, g := range m.segments[s.Id] {
		if closed || string(g.Start) != reached {
			return CodeConflict
		}
		reached, closed = string(g.End), len(g.End) == 0
		classified = min(classified, g.ClassifiedAt)
	}
	if len(m.segments[s.Id]) == 0 || reached != string(s.End) {
		return CodeConflict
	}
	old := m.generations[s.DestinationId]
	if old != nil {
		delete(m.segments, old.Id)
	}
	m.end(s, SyncCompleted, "", c.At)
	m.generations[s.DestinationId] = &pb.Generation{
		Id: s.Id, Org: s.Org, DestinationId: s.DestinationId, StartedAt: s.StartedAt, PromotedAt: c.At, Files: s.FilesScanned,
		Bytes: s.BytesScanned, Orphans: s.OrphanFiles, Missing: s.MissingBackups, ClassifiedAt: classified, Revision: s.Revision,
	}
	if c.Baseline {
		m.setBaseline(m.generations[s.DestinationId], old, c)
	}
	return ""
}

func byStart(a, b *pb.Segment) int { return bytes.Compare(a.GetStart(), b.GetStart()) }
