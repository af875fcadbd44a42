package deletion

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// maxPlanFiles bounds the files that a plan names.
const maxPlanFiles = 20

// A Plan is what a cleanup would delete.
type Plan struct {
	// Hash identifies the plan: it changes with the destination's settings, with any of the
	// files, its size, time or content, and with the guards that it meets.
	Hash string
	// Files and Bytes are the totals to delete; Of is the number of files in all.
	Files, Bytes, Of uint64
	// First are the first files of the plan, in order of path.
	First []index.Entry
	// Skipped counts what else the plan leaves.
	Skipped Skipped
	// Missing is the number of files of backups that are not in the bucket.
	Missing uint64
	// NotLookedFor is the number of files of backups where no scan has looked: they lie outside
	// of the destination.
	NotLookedFor uint64
	// Resembling are orphans that resemble missing backups. They are left out of the plan,
	// unless the request wants them.
	Resembling Resembling
	// Guards are the reasons why the plan must be confirmed.
	Guards []Guard

	orphans uint64 // of the destination
	aliases *aliases
	lost    *lostFiles
	missing []string // examples of files that are missing or were not looked for
}

// TooLarge reports whether the plan needs to be confirmed.
func (p *Plan) TooLarge() bool { return len(p.Guards) > 0 }

// Meets reports whether the plan meets a guard.
func (p *Plan) Meets(guard string) bool {
	return slices.ContainsFunc(p.Guards, func(g Guard) bool { return g.Name == guard })
}

// examples returns the first paths of the plan.
func (p *Plan) examples() (paths []string) {
	for _, e := range p.First[:min(len(p.First), maxExamples)] {
		paths = append(paths, string(e.Path))
	}
	return paths
}

// A PlanError is the reason why a cleanup was not started: its plan is too large, or another
// plan was confirmed.
type PlanError struct {
	Plan
	// Confirmed reports that another plan was confirmed.
	Confirmed bool
}

func (e *PlanError) Error() string {
	if e.Confirmed {
		return fmt.Sprintf("the confirmed plan is outdated: the current plan %s deletes %d of %d files", e.Hash, e.Files, e.Of)
	}
	var saw []string
	for _, g := range e.Guards {
		saw = append(saw, g.Saw)
	}
	return fmt.Sprintf("%d of %d files would be deleted, and %s", e.Files, e.Of, strings.Join(saw, "; "))
}

// Plan returns what Cleanup would delete. It makes no request to the provider, except to look
// up missing files of backups where there are more than the guards allow. Errors:
// ErrNeverSynced, a *ClockError by the last response of the provider, and those of opening
// the shard.
func (d *Deleter) Plan(ctx context.Context, r CleanupRequest) (*Plan, error) {
	view, err := d.syncedView(ctx, r.Destination)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	if r, err = d.inProviderTime(ctx, r, false); err != nil {
		return nil, err
	}
	return d.plan(ctx, view, &r)
}

// syncedView opens the shard of a destination, which must have been synced.
func (d *Deleter) syncedView(ctx context.Context, dest *pb.Destination) (*index.View, error) {
	view, err := d.view(ctx, dest.Id)
	if err == nil && view == nil {
		err = ErrNeverSynced
	}
	return view, err
}

func (d *Deleter) plan(ctx context.Context, view *index.View, r *CleanupRequest) (*Plan, error) {
	var others []string
	if err := d.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		others, err = tx.CheckIdentity(r.Destination)
		return err
	}); err != nil {
		return nil, err
	}
	stats := view.Stats()
	p := &Plan{Of: stats.Files(), orphans: stats.OrphanFiles()}
	l, err := d.ownListings(ctx, view, r.Destination)
	if err != nil {
		return nil, err
	}
	defer l.release()
	if p.lost, err = d.lostFiles(ctx, l); err != nil {
		return nil, err
	}
	p.Missing, p.NotLookedFor = p.lost.missing, p.lost.strays
	if p.aliases, err = d.aliases(others, r.Destination.Org); err != nil {
		return nil, err
	}
	var keptForOthers uint64
	hash := newPlanHash(r.Destination)
	seen := 0
	_, more, err := view.Query(index.Query{OrphansOnly: true}, func(e *index.Entry) bool {
		if !r.selects(e) {
			p.Skipped.add(r, e)
			return true
		}
		seen++
		if by := p.aliases.keeps(e.Path); by != keptByNobody {
			if p.orphans--; by == keptByOthers {
				keptForOthers++
			}
			return seen%4096 != 0 || ctx.Err() == nil
		}
		if p.lost.resembles(e) {
			p.Resembling.add(e.Path)
			if !r.Resembling {
				return seen%4096 != 0 || ctx.Err() == nil
			}
		}
		hash.add(e)
		p.Files++
		p.Bytes += uint64(e.Size)
		if len(p.First) < maxPlanFiles {
			first := *e
			first.Path = bytes.Clone(e.Path)
			p.First = append(p.First, first)
		}
		return seen%4096 != 0 || ctx.Err() == nil
	})
	if err == nil && more {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = p.aliases.failure()
	}
	if err == nil {
		p.Skipped.KeptForOthers, err = d.keptForOthers(ctx, view, r)
		p.Skipped.KeptForOthers += keptForOthers
	}
	if err == nil && p.Files > 0 && p.Missing+p.NotLookedFor > d.config.Thresholds.Missing {
		err = d.lookUpMissing(ctx, l, p)
	}
	if err != nil {
		return nil, err
	}
	if p.Guards, err = d.guards(r, p); err != nil {
		return nil, err
	}
	for _, g := range p.Guards {
		hash.write([]byte(g.Name))
	}
	p.Hash = hash.String()
	return p, nil
}

// takes reports whether the plan of a request includes an orphan.
func (p *Plan) takes(r *CleanupRequest, e *index.Entry) bool {
	return r.selects(e) && (r.Resembling || !p.lost.resembles(e)) && p.aliases.keeps(e.Path) == keptByNobody
}

// planHash summarizes what a plan deletes. It only has to distinguish plans that occur by
// themselves: whoever may confirm a plan may delete its files anyway.
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

// errEnough ends a walk.
var errEnough = errors.New("enough")

// lookUpMissing looks up the missing files of a plan, and takes those back that exist all the
// same. What cannot be looked up stays missing.
func (d *Deleter) lookUpMissing(ctx context.Context, l *listings, p *Plan) error {
	op := &operation{deleter: d, destination: l.own.destination, listed: true}
	s := op.newSearch(l, newUnseen())
	var err error
	if op.bucket, err = d.config.Buckets.Open(ctx, op.destination); err != nil {
		s.left = 0
	}
	timed, cancel := context.WithTimeout(ctx, unseenTime)
	defer cancel()
	err = d.claims(l, l.own, func(claims []claim) error {
		for i, responded := range s.lookUp(timed, claims) {
			switch c := &claims[i]; {
			case c.state == claimSeen && p.lost.sized: // it does not count already
			case responded && c.state == claimStray:
				p.NotLookedFor -= min(1, p.NotLookedFor) // a record may be newer than the count
			case responded:
				p.Missing -= min(1, p.Missing)
			case len(p.missing) < maxExamples:
				p.missing = append(p.missing, c.backup+": "+string(c.location))
			}
		}
		if s.left == 0 && len(p.missing) == maxExamples {
			return errEnough
		}
		return context.Cause(ctx)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
