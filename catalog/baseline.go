package catalog

import (
	"encoding/binary"
	"math/bits"

	pb "firescan/catalog/catalogpb"
)

// The guards of a cleanup compare the orphans of a destination with its baseline: the state
// with the least share of orphans since the last confirmed cleanup. It only goes down by
// itself, so a jump does not wear off with the next sync. Only a person who has confirmed a
// plan raises it.
//
// An edit that moves a destination drops its generation with the baseline. The next one is no
// measure for a cleanup then: it is marked as moved until a person has confirmed a plan.

// setBaseline sets the baseline of a new generation and begins to count the changes of its
// destination's records. Older versions know neither, so only commands with a new version
// call it.
func setBaseline(tx *writeTx, g *pb.Generation, m *pb.PromoteSync) error {
	key := join(g.GetOrg(), g.GetDestinationId())
	if tx.bucket(inChanges).Get(key) == nil {
		if err := tx.bucket(inChanges).Put(key, index8(0)); err != nil {
			return err
		}
	}
	old, err := load[pb.Generation](tx.bucket(inGenerations), []byte(g.GetDestinationId()))
	if err != nil {
		return err
	}
	g.Baseline = lower(old.GetBaseline(), &pb.Baseline{
		Files: g.GetFiles(), Orphans: g.GetOrphans(), Changes: tx.read.Changes(g.GetOrg(), g.GetDestinationId()), At: m.GetAt(),
		Moved: old.GetBaseline().GetMoved() || old == nil && m.GetMoved(),
	})
	return nil
}

// Moved reports whether a destination had a baseline before it was moved, and has no generation
// since.
func (tx *Tx) Moved(d *pb.Destination) bool {
	return tx.bucket(inGenerations).Get([]byte(d.GetId())) == nil && tx.bucket(inChanges).Get(join(d.GetOrg(), d.GetId())) != nil
}

// lower returns the baseline with the lesser share of orphans, b if they are equal. a may be
// nil; what is moved stays so.
func lower(a, b *pb.Baseline) *pb.Baseline {
	if a == nil {
		return b
	}
	aHigh, aLow := bits.Mul64(a.GetOrphans(), max(b.GetFiles(), 1))
	bHigh, bLow := bits.Mul64(b.GetOrphans(), max(a.GetFiles(), 1))
	if aHigh < bHigh || aHigh == bHigh && aLow < bLow {
		return a
	}
	return b
}

// endCleanup records what a cleanup has left. The destination may be gone, or have a newer
// generation, by now.
func endCleanup(tx *writeTx, org string, m *pb.CleanupReport, at int64) error {
	g, err := load[pb.Generation](tx.bucket(inGenerations), []byte(m.GetDestinationId()))
	if err != nil || g == nil || g.GetOrg() != org {
		return err
	}
	left := &pb.Baseline{Files: m.GetFiles(), Orphans: m.GetOrphans(), Changes: tx.read.Changes(org, m.GetDestinationId()), At: at}
	if !m.GetConfirmed() {
		left.Moved = g.GetBaseline().GetMoved()
		left = lower(g.GetBaseline(), left)
	}
	g.Baseline = left
	return store(tx.bucket(inGenerations), []byte(g.GetDestinationId()), g)
}

// Changes returns how many changes of backup records of a destination were counted. The
// count begins with its first sync, and again after a deletion of the destination.
func (tx *Tx) Changes(org, destID string) uint64 {
	v := tx.bucket(inChanges).Get(join(org, destID))
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// addChanges counts changes of backup records, if the destination has a count.
func addChanges(tx *writeTx, org, destID string, n uint64) error {
	key := join(org, destID)
	if n == 0 || tx.bucket(inChanges).Get(key) == nil {
		return nil
	}
	return tx.bucket(inChanges).Put(key, index8(tx.read.Changes(org, destID)+n))
}
