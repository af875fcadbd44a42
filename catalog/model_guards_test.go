package catalog

import (
	"slices"

	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

// The part of the model that knows what guards compare with.

// count counts a change of a record, which may be nil.
func (m *model) count(b *pb.Backup) {
	who := owned{b.GetOrg(), b.GetStorageId()}
	if _, counted := m.changes[who]; counted {
		m.changes[who]++
	}
}

func (m *model) setBaseline(g, old *pb.Generation, c *pb.PromoteSync) {
	who := owned{g.Org, g.DestinationId}
	m.changes[who] += 0
	g.Baseline = least(old.GetBaseline(), &pb.Baseline{Files: g.Files, Orphans: g.Orphans, Changes: m.changes[who], At: c.At})
	g.Baseline.Moved = old.GetBaseline().GetMoved() || old == nil && c.Moved
}

func least(a, b *pb.Baseline) *pb.Baseline {
	share := func(x *pb.Baseline) float64 { return float64(x.Orphans) / float64(max(x.Files, 1)) }
	if a != nil && share(a) < share(b) {
		return a
	}
	return b
}

func (m *model) setGuards(c *pb.SetGuards) {
	if r := c.Import; r != nil {
		m.feed(c.Org).report(r)
	}
	r := c.Cleanup
	if r == nil || m.generations[r.DestinationId].GetOrg() != c.Org {
		return
	}
	g := m.generations[r.DestinationId]
	left := &pb.Baseline{Files: r.Files, Orphans: r.Orphans, Changes: m.changes[owned{g.Org, g.DestinationId}], At: c.At}
	if !r.Confirmed {
		left.Moved = g.Baseline.GetMoved()
		left = least(g.Baseline, left)
	}
	g.Baseline = left
}

// feedModel is what a feed lacks, import by import.
type feedModel struct {
	running []*pb.ImportReport
	lacks   map[uint64]bool
	others  uint64
	needed  uint64
	refused bool
}

func (m *model) feed(org string) *feedModel {
	if m.feeds[org] == nil {
		m.feeds[org] = &feedModel{lacks: map[uint64]bool{}}
	}
	return m.feeds[org]
}

func (f *feedModel) incomplete() bool { return f.refused || len(f.running) > 0 }

func (f *feedModel) complete() { *f = feedModel{running: f.running, lacks: map[uint64]bool{}} }

func (f *feedModel) stored(kind, id string) {
	key := RefusedKey(kind, id)
	if !f.lacks[key] {
		return
	}
	delete(f.lacks, key)
	if len(f.lacks) == 0 && f.others == 0 {
		f.complete()
	}
}

func (f *feedModel) report(r *pb.ImportReport) {
	at := slices.IndexFunc(f.running, func(o *pb.ImportReport) bool { return o.Id == r.Id })
	switch {
	case !r.Ended && at >= 0:
		f.running[at] = r
		return
	case !r.Ended:
		f.running = append(f.running, r)
		return
	case at >= 0:
		f.running = slices.Delete(slices.Clone(f.running), at, at+1)
	}
	if len(r.Refused) == 0 && len(r.Unresolved) == 0 && r.Others == 0 {
		n := 0
		f.running = slices.DeleteFunc(f.running, func(o *pb.ImportReport) bool {
			n++
			return n <= at && o.Records <= r.Records
		})
		if r.Records > 0 && r.Records >= f.needed {
			f.complete()
		}
		return
	}
	for _, key := range slices.Concat(r.Refused, r.Unresolved) {
		f.lacks[key] = true
	}
	f.refused, f.others = true, max(f.others, r.Others)
	f.needed = max(f.needed, r.Records)
	if r.Records == 0 {
		f.needed = max(f.needed, uint64(len(f.lacks))+f.others)
	}
}

// genGuards draws the progress of an import or the end of a cleanup.
func genGuards(t *rapid.T, m *model) *pb.SetGuards {
	who := genTarget(t, m)
	c := &pb.SetGuards{Org: who.org, At: 1 + genInt.Draw(t, "at")}
	if rapid.IntRange(0, 3).Draw(t, "cleanup") == 0 {
		files := rapid.Uint64Range(0, 4).Draw(t, "files")
		c.Cleanup = &pb.CleanupReport{DestinationId: who.id, Files: files, Orphans: rapid.Uint64Range(0, files).Draw(t, "orphans"), Confirmed: rapid.Bool().Draw(t, "confirmed")}
		return c
	}
	r := &pb.ImportReport{Id: rapid.SampledFrom([]string{"i1", "i2", "i3"}).Draw(t, "import"), Records: rapid.Uint64Range(0, 3).Draw(t, "records"), Ended: rapid.Bool().Draw(t, "ended")}
	if r.Ended && rapid.Bool().Draw(t, "refused") {
		keys := func(of ...string) (keys []uint64) {
			for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, 2, rapid.ID).Draw(t, "keys") {
				keys = append(keys, RefusedKey(KindBackup, id))
			}
			return keys
		}
		r.Refused, r.Unresolved, r.Others = keys("a", "b", "x"), keys("c", "d", "y"), rapid.Uint64Range(0, 1).Draw(t, "others")
	}
	c.Import = r
	return c
}
