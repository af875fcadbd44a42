package deletion

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

const (
	// planFirst is how many files a plan names.
	planFirst = 20
	// cleanupErrors is how many failures a cleanup names.
	cleanupErrors = 100
)

// CleanupRequest asks to delete the orphans of a destination, as it was read from the
// catalog.
type CleanupRequest struct {
	Destination *pb.Destination
	// Who is put on record.
	Who string
	// Types are those of the files that may be deleted.
	Types []index.Type
	// Before is when a file must have been modified the latest, in Unix milliseconds. A
	// file of unknown time is never old enough.
	Before int64
	// Confirm, when not empty, must be the hash of the plan.
	Confirm string
}

// chooses tells whether a file is to be deleted.
func (r *CleanupRequest) chooses(e *index.Entry) bool {
	return !e.Linked && e.ModTime > 0 && e.ModTime <= r.Before && slices.Contains(r.Types, e.Type)
}

// Plan is what a cleanup would delete.
type Plan struct {
	// Hash tells plans apart: it changes with the destination's settings, and with any of
	// the files, its size, time or content.
	Hash string
	// Files and Bytes are those to be deleted, and Of how many files there are.
	Files, Bytes, Of uint64
	// First are the first files of the plan, in order of path.
	First []index.Entry
	// Unknown says that the catalog knows no backup at all in the bucket.
	Unknown bool
}

// TooLarge tells whether the plan needs to be confirmed.
func (p *Plan) TooLarge() bool { return p.Files > 0 && (p.Unknown || 2*p.Files > p.Of) }

// A PlanError is why a cleanup was not begun: its plan is too large, or is not the one that
// was confirmed.
type PlanError struct {
	Plan
	// Confirmed says that another plan was confirmed.
	Confirmed bool
}

func (e *PlanError) Error() string {
	switch {
	case e.Confirmed:
		return fmt.Sprintf("the confirmed plan is not the present one, %s, which deletes %d of %d files", e.Hash, e.Files, e.Of)
	case e.Unknown:
		return fmt.Sprintf("no backup is known in the bucket, and %d of its files would be deleted", e.Files)
	}
	return fmt.Sprintf("%d of %d files would be deleted", e.Files, e.Of)
}

// CleanupResult is what a cleanup did.
type CleanupResult struct {
	// Deleted and Bytes are the files that were deleted.
	Deleted, Bytes uint64
	// Failed counts the files that were not, and Errors has the first hundred of them.
	Failed uint64
	Errors []Outcome
	// Stopped is why it ended before all files had their turn; nil when they had.
	Stopped error
}

// Plan finds out what Cleanup would delete. It reads the shard alone. Errors:
// ErrNeverSynced, and those of Keeper.View.
func (d *Deleter) Plan(ctx context.Context, r CleanupRequest) (*Plan, error) {
	view, err := d.orphanView(ctx, r.Destination)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	return d.plan(ctx, view, &r)
}

func (d *Deleter) orphanView(ctx context.Context, dest *pb.Destination) (*index.View, error) {
	view, err := d.view(ctx, dest.Id)
	if err == nil && view == nil {
		err = ErrNeverSynced
	}
	return view, err
}

func (d *Deleter) plan(ctx context.Context, view *index.View, r *CleanupRequest) (*Plan, error) {
	stats := view.Stats()
	p := &Plan{Of: stats.Files()}
	hash := newPlanHash(r.Destination)
	_, more, err := view.Query(index.Query{OrphansOnly: true}, func(e *index.Entry) bool {
		if !r.chooses(e) {
			return true
		}
		hash.add(e)
		p.Files++
		p.Bytes += uint64(e.Size)
		if len(p.First) < planFirst {
			first := *e
			first.Path = bytes.Clone(e.Path)
			p.First = append(p.First, first)
		}
		return p.Files%4096 != 0 || ctx.Err() == nil
	})
	if err == nil && more {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	p.Hash = hash.String()
	return p, d.Catalog.View(func(tx *catalog.Tx) error {
		links := tx.Links(catalog.BucketID(r.Destination))
		_, known := links.Seek(nil)
		p.Unknown = !known
		return links.Err()
	})
}

// planHash sums up what a plan deletes. It only has to tell plans apart that come about by
// themselves: who may confirm one may delete its files anyway.
type planHash struct{ a, b *xxhash.Digest }

func newPlanHash(d *pb.Destination) planHash {
	h := planHash{xxhash.New(), xxhash.NewWithSeed(1)}
	h.write(fmt.Appendf(nil, "%s\x00%d\x00", d.Id, d.Revision))
	return h
}

func (h planHash) write(p []byte) {
	_, _ = h.a.Write(p) // never fails
	_, _ = h.b.Write(p)
}

func (h planHash) add(e *index.Entry) {
	var b [26]byte
	binary.LittleEndian.PutUint16(b[:], uint16(len(e.Path)))
	binary.LittleEndian.PutUint64(b[2:], uint64(e.Size))
	binary.LittleEndian.PutUint64(b[10:], uint64(e.ModTime))
	binary.LittleEndian.PutUint64(b[18:], e.Digest)
	h.write(b[:])
	h.write(e.Path)
}

func (h planHash) String() string {
	return hex.EncodeToString(h.b.Sum(h.a.Sum(nil)))
}

// Cleanup deletes the files that Plan tells, each only if it is still what the index says
// of it and no record needs it. When the plan is too large and not confirmed, or another
// one was confirmed, the error is a *PlanError and nothing was begun.
//
// When ctx ends, what was begun goes to its end and the rest is not begun; the result says
// so.
func (d *Deleter) Cleanup(ctx context.Context, r CleanupRequest) (*CleanupResult, error) {
	view, err := d.orphanView(ctx, r.Destination)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	plan, err := d.plan(ctx, view, &r)
	switch {
	case err != nil:
		return nil, err
	case r.Confirm != "" && r.Confirm != plan.Hash:
		return nil, &PlanError{Plan: *plan, Confirmed: true}
	case r.Confirm == "" && plan.TooLarge():
		return nil, &PlanError{Plan: *plan}
	case plan.Files == 0:
		return &CleanupResult{}, nil
	}
	w, err := d.begin(ctx, r.Destination, r.Who)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	d.Logger.Info("a cleanup of orphans begins", "destination", r.Destination.Id, "who", r.Who, "files", plan.Files, "bytes", plan.Bytes)
	result, err := w.cleanup(ctx, view, &r)
	if err == nil {
		log := d.Logger.With("destination", r.Destination.Id, "who", r.Who,
			"deleted", result.Deleted, "failed", result.Failed, "took", time.Since(began).Round(time.Millisecond))
		if result.Stopped == nil {
			log.Info("orphans were cleaned up")
		} else {
			log.Warn("a cleanup of orphans ended early", "error", result.Stopped)
		}
	}
	return result, err
}

// sweep is a cleanup at work.
type sweep struct {
	*deletion
	mu     sync.Mutex
	result CleanupResult
}

// cleanup deletes what the request chooses of a view.
func (w *deletion) cleanup(ctx context.Context, view *index.View, r *CleanupRequest) (*CleanupResult, error) {
	s := &sweep{deletion: w}
	var group errgroup.Group
	group.SetLimit(w.chunks)
	var candidates []*candidate
	size := 0
	flush := func() {
		c := chunk{candidates: candidates}
		candidates, size = nil, 0
		group.Go(func() error {
			err := w.run(ctx, c)
			if err == nil {
				s.add(c.candidates)
			}
			return err
		})
	}
	_, _, failed := view.Query(index.Query{OrphansOnly: true}, func(e *index.Entry) bool {
		if !r.chooses(e) {
			return true
		}
		t := &candidate{path: bytes.Clone(e.Path)}
		t.expect(e)
		if len(candidates) == w.most() || size+len(t.path) > chunkBytes {
			flush()
		}
		candidates, size = append(candidates, t), size+len(t.path)
		return w.broken() == nil
	})
	if len(candidates) > 0 && failed == nil {
		flush()
	}
	err := group.Wait()
	if failed != nil {
		err = failed
	}
	if err != nil && !w.begun() {
		return nil, err
	}
	s.result.Stopped = err
	return &s.result, nil
}

// add sums up what came of a chunk.
func (s *sweep) add(candidates []*candidate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range candidates {
		o := t.Outcome()
		switch {
		case o.Absent, errors.Is(o.Err, ErrNotThere):
		case o.Deleted:
			s.result.Deleted++
			s.result.Bytes += uint64(o.Size)
		default:
			s.result.Failed++
			if len(s.result.Errors) < cleanupErrors {
				s.result.Errors = append(s.result.Errors, o)
			}
		}
	}
}
