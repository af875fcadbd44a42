package deletion

import (
	"bytes"
	"context"
	"slices"

	"firescan/catalog"
	"firescan/index"
)

// Skipped counts files that a cleanup leaves.
type Skipped struct {
	// TooYoung and UnknownType are orphans: of a selected type but younger than the minimum
	// age, and of a type that was not recognized.
	TooYoung, UnknownType uint64
	// KeptForOthers are files that would be in the plan if no record of another organization
	// needed them.
	KeptForOthers uint64
}

// add counts an orphan that is not in the plan.
func (s *Skipped) add(r *CleanupRequest, e *index.Entry) {
	switch {
	case slices.Contains(r.Types, e.Type):
		s.TooYoung++
	case e.Type == index.Unknown:
		s.UnknownType++
	}
}

// keptBatch is the number of files that are looked up in one catalog transaction.
const keptBatch = 1000

// keptForOthers counts the linked files of a view that r selects otherwise and that only
// records of other organizations link. Where a bucket has none of them, as most have, it
// costs nothing. It goes by hashes of what others link first, and looks up what is left.
func (d *Deleter) keptForOthers(ctx context.Context, view *index.View, r *CleanupRequest) (uint64, error) {
	bucketID, org := catalog.BucketID(r.Destination), r.Destination.Org
	others, err := d.linksOfOthers(bucketID, org)
	if err != nil || others == nil {
		return 0, err
	}
	var kept uint64
	var paths [][]byte
	flush := func() error {
		n, err := d.countUnneeded(bucketID, org, paths)
		kept, paths = kept+n, paths[:0]
		return err
	}
	selected := *r
	var failed error
	_, more, err := view.Query(index.Query{}, func(e *index.Entry) bool {
		if !e.Linked || !others.mayLink(e.Path) {
			return true
		}
		orphan := *e
		orphan.Linked = false
		if !selected.selects(&orphan) {
			return true
		}
		if paths = append(paths, bytes.Clone(e.Path)); len(paths) == keptBatch {
			failed = flush()
		}
		return failed == nil && ctx.Err() == nil
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, failed
	case more:
		return 0, context.Cause(ctx)
	}
	err = flush()
	return kept, err
}

// linksOfOthers returns what other organizations link in a bucket, nil when nothing.
func (d *Deleter) linksOfOthers(bucketID, org string) (h *linkHashes, err error) {
	err = d.config.Catalog.View(func(tx *catalog.Tx) error {
		if has, err := tx.HasOthers(bucketID, org); err != nil || !has {
			return err
		}
		h = newLinkHashes()
		if err := h.add(tx.LinksFor(bucketID, org), func(l *catalog.Link) bool { return string(l.Org) != org }); err != nil {
			return err
		}
		all, err := tx.PitrPrefixes(bucketID, org)
		if err != nil {
			return err
		}
		own, err := tx.OwnPitrPrefixes(bucketID, org)
		for _, prefix := range all {
			if !slices.ContainsFunc(own, func(p []byte) bool { return bytes.Equal(p, prefix) }) {
				h.prefixes = append(h.prefixes, prefix)
			}
		}
		return err
	})
	if h != nil && h.empty() {
		h = nil
	}
	return h, err
}

// countUnneeded returns how many files no record of the organization itself needs.
func (d *Deleter) countUnneeded(bucketID, org string, paths [][]byte) (n uint64, err error) {
	err = d.config.Catalog.View(func(tx *catalog.Tx) error {
		prefixes, err := tx.OwnPitrPrefixes(bucketID, org)
		if err != nil {
			return err
		}
		links := tx.OwnLinks(bucketID, org)
		for _, path := range paths {
			named, byStem, err := catalog.IsLinked(links, prefixes, path)
			if err != nil {
				return err
			}
			if !named && !byStem {
				n++
			}
		}
		return nil
	})
	return n, err
}
