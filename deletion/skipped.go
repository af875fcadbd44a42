package deletion

import (
	"bytes"
	"context"
	"slices"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
	"firescan/index"
	"firescan/keyspace"
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

// foreignLinks is what other organizations link in a bucket, as hashes.
type foreignLinks struct {
	stems, files map[uint64]struct{}
	prefixes     [][]byte
}

// linksOfOthers returns what other organizations link in a bucket, nil when nothing.
func (d *Deleter) linksOfOthers(bucketID, org string) (f *foreignLinks, err error) {
	err = d.config.Catalog.View(func(tx *catalog.Tx) error {
		if has, err := tx.HasOthers(bucketID, org); err != nil || !has {
			return err
		}
		f = &foreignLinks{stems: map[uint64]struct{}{}, files: map[uint64]struct{}{}}
		links := tx.LinksFor(bucketID, org)
		for l, ok := links.Seek(nil); ok; l, ok = links.Next() {
			switch {
			case string(l.Org) == org:
			case l.Kind == catalog.LinkPrefix:
				f.prefixes = append(f.prefixes, bytes.Clone(l.Path))
			case l.Kind.LinksStem():
				f.stems[xxhash.Sum64(l.Stem)] = struct{}{}
				fallthrough // the path may be that of a folder
			default:
				f.files[xxhash.Sum64(l.Path)] = struct{}{}
			}
		}
		if err := links.Err(); err != nil {
			return err
		}
		all, err := tx.PitrPrefixes(bucketID, org)
		if err != nil {
			return err
		}
		own, err := tx.OwnPitrPrefixes(bucketID, org)
		for _, prefix := range all {
			if !slices.ContainsFunc(own, func(p []byte) bool { return bytes.Equal(p, prefix) }) {
				f.prefixes = append(f.prefixes, prefix)
			}
		}
		return err
	})
	if f != nil && len(f.stems)+len(f.files)+len(f.prefixes) == 0 {
		f = nil
	}
	return f, err
}

func (f *foreignLinks) mayLink(path []byte) bool {
	if _, ok := f.stems[xxhash.Sum64(keyspace.Stem(path))]; ok {
		return true
	}
	if _, ok := f.files[xxhash.Sum64(path)]; ok {
		return true
	}
	for i, b := range path {
		if b != '/' {
			continue
		}
		if _, ok := f.files[xxhash.Sum64(path[:i])]; ok {
			return true
		}
	}
	return slices.ContainsFunc(f.prefixes, func(p []byte) bool { return bytes.HasPrefix(path, p) })
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
