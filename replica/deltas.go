package replica

import (
	"bytes"
	"fmt"

	"firescan/catalog"
	"firescan/index"
	"firescan/keyspace"
)

// apply brings a shard from the delta at index applied some deltas further, and
// tells whether there may be more.
func (k *Keeper) apply(destination string, t target, applied uint64) (more bool, err error) {
	var changes []index.Change
	err = k.Catalog.View(func(tx *catalog.Tx) error {
		deltas, err := tx.Deltas(t.bucketID, applied, deltasAtOnce)
		for _, d := range deltas {
			changes = append(changes, index.Change{Index: d.Index, Stems: d.Delta.Stems, Prefixes: d.Delta.Prefixes, Deleted: d.Delta.Deleted})
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
	return len(changes) == deltasAtOnce, nil
}

// lookup answers how single files and stems stand in the catalog now.
type lookup struct {
	*Keeper
	target
	destination string
}

// link tells the type of a file and whether a record needs it: the rule of
// classifier.page for one file.
func (l *lookup) link(path []byte) (typ index.Type, linked bool, err error) {
	err = l.Catalog.View(func(tx *catalog.Tx) error {
		pitr, err := tx.PitrPrefixes(l.bucketID)
		if err != nil {
			return err
		}
		if typ, linked = index.TypeOf(path, pitr); linked {
			return nil
		}
		return l.each(tx, keyspace.Stem(path), func(link *catalog.Link) error {
			linked = linked || link.Kind == catalog.LinkPath || bytes.Equal(link.Path, path)
			return nil
		})
	})
	return typ, linked, err
}

// missing lists the records of the destination whose storagePath has the stem. A
// record that is younger than the scan is not among them: its file may be there,
// and no list was made since that could tell.
func (l *lookup) missing(stem []byte) (records []index.Missing, err error) {
	err = l.Catalog.View(func(tx *catalog.Tx) error {
		return l.each(tx, stem, func(link *catalog.Link) error {
			if link.Kind != catalog.LinkPath || string(link.StorageID) != l.destination {
				return nil
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
			return nil
		})
	})
	return records, err
}

// each calls fn with the links of a stem.
func (l *lookup) each(tx *catalog.Tx, stem []byte, fn func(*catalog.Link) error) error {
	cur := tx.Links(l.bucketID)
	for link, ok := cur.Seek(stem); ok && bytes.Equal(link.Stem, stem); link, ok = cur.Next() {
		if err := fn(link); err != nil {
			return err
		}
	}
	return cur.Err()
}
