package api

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// fill creates a generation of a destination from sorted entries, as a sync does.
func (r *rig) fill(id string, entries []index.Entry, missing ...index.Missing) {
	r.t.Helper()
	res := r.propose(&pb.StartSync{Org: org, DestinationId: id, SyncId: catalog.NewID(catalog.KindSync), At: r.now.UnixMilli()})
	var s *pb.Sync
	if err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		s, err = tx.Sync(org, res.SyncId)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	segment := catalog.NewID(catalog.KindSegment)
	w, err := r.index.NewSegment(id, segment, s.Start)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range entries {
		if err := w.Add(&entries[i]); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, m := range missing {
		if err := w.AddMissing(m); err != nil {
			r.t.Fatal(err)
		}
	}
	at := r.catalog.AppliedIndex()
	info, err := w.Seal(s.End, at)
	if err != nil {
		r.t.Fatal(err)
	}
	r.propose(&pb.SealSegments{SyncId: s.Id, Segments: []*pb.Segment{{
		Id: segment, Start: s.Start, End: s.End, Files: info.Stats.Files(), Bytes: info.Stats.Bytes(), Orphans: info.Stats.OrphanFiles(),
		Missing: uint64(info.Missing), ClassifiedAt: at, Checksum: info.Checksum, FileSize: uint64(info.FileSize), Node: "n1",
	}}})
	// In this order, since the rig does not bring shards up to date.
	if err := r.index.Promote(id, index.Manifest{Generation: s.Id, Segments: []index.SegmentRef{{ID: segment, Checksum: info.Checksum}}}); err != nil {
		r.t.Fatal(err)
	}
	r.propose(&pb.PromoteSync{SyncId: s.Id, At: r.now.UnixMilli()})
}

// corrupt truncates the segments of a destination, and opens the index again.
func (r *rig) corrupt(id string) {
	r.t.Helper()
	if err := r.index.Close(); err != nil {
		r.t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(r.shards, id, "*.seg"))
	if err != nil || len(segments) == 0 {
		r.t.Fatalf("segments %v, %v", segments, err)
	}
	for _, name := range segments {
		info, err := os.Stat(name)
		if err == nil {
			err = os.Truncate(name, info.Size()/2)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	opts := index.Options{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
	if r.index, err = index.Open(r.shards, opts); err != nil {
		r.t.Fatal(err)
	}
}
