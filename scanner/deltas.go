package scanner

import (
	"bytes"
	"fmt"

	"firescan/catalog"
	"firescan/index"
)

// apply brings a shard from the delta at index applied some deltas further, and
// tells whether there may be more.
func (k *Keeper) apply(destination string, t target, applied uint64) (more bool, err error) {
	var changes []index.Change
	err = k.Catalog.View(func(tx *catalog.Tx) error {
		deltas, err := tx.Deltas(t.bucketID, applied, deltasAtOnce)
		for _, d := range deltas {
			changes = append(changes, index.Change{Index: d.Index, Stems: d.Stems, Prefixes: d.Prefixes, Deleted: d.Deleted})
		}
		return err
	})
	if err != nil || len(changes) == 0 {
		return false, err
	}
	l := lookup{Keeper: k, target: t, destination: destination}
	if err := k.Index.ApplyChanges(destination, t.manifest.Generation, changes, l.link, l.missing); err != nil {
		return false, fmt.Errorf("apply %d deltas to destination %s: %w", len(changes), destination, err)
	}
	if l.err != nil {
		return false, l.err
	}
	return len(changes) == deltasAtOnce, nil
}

// lookup answers how single files and stems stand in the catalog now.
type lookup struct {
	*Keeper
	target
	destination string
	err         error // the first that a look-up met; the answers after it mean nothing
}

// link tells the type of a file and whether a record needs it: the rule of
// classifier.page for one file.
func (l *lookup) link(path []byte) (typ index.Type, linked bool) {
	l.view(func(tx *catalog.Tx) error {
		pitr, err := tx.PitrPrefixes(l.bucketID)
		if err != nil {
			return err
		}
		if typ, linked = typeOf(path, pitr); linked {
			return nil
		}
		stem := catalog.Stem(path)
		cur := tx.Links(l.bucketID)
		for link, ok := cur.Seek(stem); ok && bytes.Equal(link.Stem, stem); link, ok = cur.Next() {
			if link.Kind == catalog.LinkPath || bytes.Equal(link.Path, path) {
				linked = true
				return nil
			}
		}
		return nil
	})
	return typ, linked
}

// missing lists the records of the destination whose storagePath has the stem. A
// record that is younger than the scan is not among them: its file may be there,
// and no list was made since that could tell.
func (l *lookup) missing(stem []byte) (records []index.Missing) {
	l.view(func(tx *catalog.Tx) error {
		cur := tx.Links(l.bucketID)
		for link, ok := cur.Seek(stem); ok && bytes.Equal(link.Stem, stem); link, ok = cur.Next() {
			if link.Kind != catalog.LinkPath || string(link.StorageID) != l.destination {
				continue
			}
			backup, err := tx.Backup(string(link.Org), string(link.BackupID))
			if err != nil {
				return err
			}
			if backup.CreatedAt < l.startedAt {
				records = append(records, index.Missing{
					Org: bytes.Clone(link.Org), BackupID: bytes.Clone(link.BackupID), Path: bytes.Clone(link.Path),
				})
			}
		}
		return nil
	})
	return records
}

func (l *lookup) view(fn func(*catalog.Tx) error) {
	if err := l.Catalog.View(fn); err != nil && l.err == nil {
		l.err = fmt.Errorf("look up links: %w", err)
	}
}
