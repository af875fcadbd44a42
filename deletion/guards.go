package deletion

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// The names of the guards, which the API shows.
const (
	GuardNoBackups  = "noBackupKnown"
	GuardHalf       = "moreThanHalf"
	GuardJump       = "orphanJump"
	GuardGrowth     = "orphanGrowth"
	GuardMoved      = "destinationMoved"
	GuardFeed       = "feedIncomplete"
	GuardUnresolved = "unresolvedRecords"
	GuardMissing    = "missingBackups"
	GuardResembling = "resemblesMissing"
)

// filesPerChange is how many files become orphans by one change of a record at most, unless
// a feed has gone wrong.
const filesPerChange = 10

// A Guard is a reason why a plan must be confirmed.
type Guard struct {
	Name string
	// Saw is what the guard saw, Limit what it allows.
	Saw, Limit string
	Examples   []string
	// GoOn is how to go on without a confirmation.
	GoOn string
}

// guards returns the guards that a plan meets, all at once.
func (d *Deleter) guards(r *CleanupRequest, p *Plan) (met []Guard, err error) {
	if p.Files == 0 {
		return nil, nil
	}
	g := guarding{request: r, plan: p, limits: d.config.Thresholds, orphans: p.orphans}
	err = d.config.Catalog.View(func(tx *catalog.Tx) error {
		g.known = slices.ContainsFunc(tx.Identities(r.Destination), func(id string) bool { return tx.HasBackups(r.Destination.Org, id) })
		g.changes = tx.Changes(r.Destination.Org, r.Destination.Id)
		generation, err := tx.Generation(r.Destination.Id)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
		g.baseline = generation.GetBaseline()
		g.feed, err = tx.FeedState(r.Destination.Org)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, check := range []func() *Guard{g.noBackups, g.half, g.jump, g.growth, g.moved, g.incomplete, g.unresolved, g.lost, g.resembling} {
		if guard := check(); guard != nil {
			met = append(met, *guard)
		}
	}
	return met, nil
}

// guarding is what the guards of one plan look at.
type guarding struct {
	request  *CleanupRequest
	plan     *Plan
	limits   Thresholds
	orphans  uint64 // of the destination, whether in the plan or not
	known    bool   // the organization has a backup in the bucket
	changes  uint64
	baseline *pb.Baseline // nil before the first sync with guards
	feed     *pb.FeedState
}

func (g *guarding) noBackups() *Guard {
	if g.known {
		return nil
	}
	return &Guard{
		Name: GuardNoBackups, Saw: "no backup is known in this bucket", Limit: "at least one", Examples: g.plan.examples(),
		GoOn: "import the records of the backups in this bucket",
	}
}

func (g *guarding) half() *Guard {
	if 2*g.plan.Files <= g.plan.Of {
		return nil
	}
	return &Guard{
		Name: GuardHalf, Saw: fmt.Sprintf("%d of %d files, more than half", g.plan.Files, g.plan.Of), Limit: "50 % of the files", Examples: g.plan.examples(),
		GoOn: "check that all backups were imported",
	}
}

// jump compares the share of orphans with the baseline.
func (g *guarding) jump() *Guard {
	if g.baseline == nil || g.plan.Files < g.limits.JumpFiles {
		return nil
	}
	before, now := percent(g.baseline.GetOrphans(), g.baseline.GetFiles()), percent(g.orphans, g.plan.Of)
	if now-before <= g.limits.JumpPoints {
		return nil
	}
	return &Guard{
		Name: GuardJump, Limit: fmt.Sprintf("an increase by %g percentage points", g.limits.JumpPoints), Examples: g.plan.examples(),
		Saw:  fmt.Sprintf("the share of orphans grew from %.1f %% (%s) to %.1f %%", before, day(g.baseline.GetAt()), now),
		GoOn: "check that the feed still has the records of these files, import it again and sync",
	}
}

// growth compares the new orphans with the changed records.
func (g *guarding) growth() *Guard {
	if g.baseline == nil || g.orphans <= g.baseline.GetOrphans() {
		return nil
	}
	grown, changed := g.orphans-g.baseline.GetOrphans(), g.changes
	if changed >= g.baseline.GetChanges() { // else the count began again
		changed -= g.baseline.GetChanges()
	}
	if grown <= g.limits.NewOrphans || grown <= filesPerChange*changed {
		return nil
	}
	return &Guard{
		Name: GuardGrowth, Limit: fmt.Sprintf("%d new orphans, or %d for each changed record", g.limits.NewOrphans, filesPerChange), Examples: g.plan.examples(),
		Saw:  fmt.Sprintf("%d new orphans and %d changed backup records since %s", grown, changed, day(g.baseline.GetAt())),
		GoOn: "check that the feed still runs, import it again and sync",
	}
}

// moved takes the place of jump and growth where there is nothing to compare with.
func (g *guarding) moved() *Guard {
	if !g.baseline.GetMoved() {
		return nil
	}
	return &Guard{
		Name: GuardMoved, Limit: "a confirmed cleanup where the destination lies now", Examples: g.plan.examples(),
		Saw:  "the destination was moved, and no cleanup was confirmed since",
		GoOn: "check that all backups in the new place were imported; one confirmed cleanup is enough",
	}
}

func (g *guarding) incomplete() *Guard {
	if !catalog.FeedIncomplete(g.feed) {
		return nil
	}
	guard := &Guard{
		Name: GuardFeed, Limit: "a complete feed", Examples: g.feed.GetReasons(),
		GoOn: "correct the refused lines and import the feed again",
	}
	if catalog.RefusedCount(g.feed) > 0 {
		guard.Saw = fmt.Sprintf("%d records of an import were refused (%s)", catalog.RefusedCount(g.feed), day(g.feed.GetAt()))
	} else {
		guard.Saw = fmt.Sprintf("an import that began %s has not ended", day(g.feed.GetRunning()[0].GetAt()))
		guard.GoOn = "wait for its end, or import the feed again if it was interrupted"
	}
	return guard
}

func (g *guarding) unresolved() *Guard {
	n := len(g.feed.GetUnresolved())
	if n == 0 {
		return nil
	}
	return &Guard{
		Name: GuardUnresolved, Limit: "none", Saw: fmt.Sprintf("%d records name a location in none of the organization's buckets", n), Examples: g.feed.GetReasons(),
		GoOn: "correct these locations, or add the destinations of their buckets, and import the feed again",
	}
}

func (g *guarding) lost() *Guard {
	missing, strays := g.plan.Missing, g.plan.NotLookedFor
	if missing+strays <= g.limits.Missing {
		return nil
	}
	guard := &Guard{Name: GuardMissing, Limit: fmt.Sprint(g.limits.Missing), Examples: g.plan.missing, GoOn: "find their files or delete their records"}
	var saw []string
	if missing > 0 {
		saw = append(saw, fmt.Sprintf("%d files of backups were not found in the bucket", missing))
	}
	if strays > 0 {
		saw = append(saw, fmt.Sprintf("%d files of backups were not looked for, because they lie outside of the destination", strays))
		guard.GoOn += "; if they were moved, import the records again with their present locations"
	}
	guard.Saw = strings.Join(saw, ", and ")
	return guard
}

func (g *guarding) resembling() *Guard {
	if !g.request.Resembling || g.plan.Resembling.Files == 0 {
		return nil
	}
	return &Guard{
		Name: GuardResembling, Limit: "none", Saw: fmt.Sprintf("%d files resemble missing backups", g.plan.Resembling.Files), Examples: g.plan.Resembling.Examples,
		GoOn: "leave them out: call without includeResembling",
	}
}

func percent(n, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

func day(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04 MST") }
