package replica

import (
	"bytes"
	"errors"
	"fmt"

	"firescan/catalog"
	"firescan/index"
)

// applyDeltas applies the next deltas after index applied to a shard. It reports whether
// there may be more.
func (r *Replicator) applyDeltas(destination string, t target, applied uint64) (more bool, err error) {
	var changes []index.Change
	err = r.config.Catalog.View(func(tx *catalog.Tx) error {
		deltas, err := tx.Deltas(t.bucketID, applied, maxDeltas)
		for _, d := range deltas {
			changes = append(changes, index.Change{Index: d.Index, Stems: d.Delta.Stems, Prefixes: d.Delta.Prefixes, Deleted: d.Delta.Deleted})
		}
		return err
	})
	if err != nil || len(changes) == 0 {
		return false, err
	}
	l := linkLookup{catalog: r.config.Catalog, target: t, destination: destination}
	if err := r.config.Index.ApplyChanges(destination, t.manifest.Generation, changes, l.classify, l.missing); err != nil {
		return false, fmt.Errorf("apply %d deltas to destination %s: %w", len(changes), destination, err)
	}
	return len(changes) == maxDeltas, nil
}

// linkLookup looks up single files and stems in the current catalog.
type linkLookup struct {
	catalog     *catalog.Catalog
	target      target
	destination string
}

// classify returns the type of a file and whether a record needs it: the rule by which a scan
// classifies pages, for one file.
func (l *linkLookup) classify(path []byte) (c index.Class, err error) {
	named, byStem := false, false
	err = l.catalog.View(func(tx *catalog.Tx) error {
		pitr, err := tx.PitrPrefixes(l.target.bucketID, l.target.org)
		if err != nil {
			return err
		}
		c.Type, _ = index.TypeOf(path, pitr)
		named, byStem, err = catalog.IsLinked(tx.LinksFor(l.target.bucketID, l.target.org), pitr, path)
		return err
	})
	c.Linked, c.ByStem = named || byStem, byStem && !named
	return c, err
}

// missing returns the objects with the stem that records of the destination name in the first
// place. Records that are younger than the scan are left out: their files may exist without
// having been listed.
func (l *linkLookup) missing(stem []byte) (records []index.Missing, err error) {
	err = l.catalog.View(func(tx *catalog.Tx) error {
		return l.each(tx, stem, func(link *catalog.Link) error {
			if link.Kind == catalog.LinkAlias || string(link.StorageID) != l.destination {
				return nil
			}
			d, err := tx.Destination(string(link.Org), l.destination)
			if errors.Is(err, catalog.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			backup, err := tx.Backup(string(link.Org), string(link.BackupID))
			if err != nil {
				return err
			}
			o, err := tx.ObjectAt(d, backup.Id, link.Path)
			if err != nil {
				return err
			}
			if o != nil && backup.CreatedAt < l.target.startedAt {
				records = append(records, index.Missing{
					Org: bytes.Clone(link.Org), BackupID: bytes.Clone(link.BackupID), Path: bytes.Clone(link.Path),
				})
			}
			return nil
		})
	})
	return records, err
}

// each calls fn for the links of a stem.
func (l *linkLookup) each(tx *catalog.Tx, stem []byte, fn func(*catalog.Link) error) error {
	cur := tx.LinksFor(l.target.bucketID, l.target.org)
	for link, ok := cur.Seek(stem); ok && bytes.Equal(link.Stem, stem); link, ok = cur.Next() {
		if err := fn(link); err != nil {
			return err
		}
	}
	return cur.Err()
}

// maxDeltas bounds the deltas that are applied at once.
const maxDeltas = 256
