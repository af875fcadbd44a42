package catalog

import (
	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"

	"firescan/keyspace"
)

// A LinkCursor iterates the links of one bucket in ascending bytewise order of their
// stems; the links of one stem come in no particular order. It does not allocate per
// step: a Link is valid until the next call on the cursor, and never beyond the
// transaction. A cursor is for one goroutine.
type LinkCursor struct {
	cursor *bbolt.Cursor // nil: the bucket has no links
	counts *authority    // nil: all links count
	reader linkReader
	rules  stemRules
	seek   []byte
	err    error
}

// Links returns a cursor on the links of a bucket (see BucketID).
func (tx *Tx) Links(bucketID string) *LinkCursor {
	c := &LinkCursor{rules: stemRules{tx: tx}}
	if b := tx.nested(inLinks, bucketID); b != nil {
		c.cursor, c.reader.seed = b.Cursor(), linkSeed(bucketID)
	}
	return c
}

// LinksFor is Links without the links of other organizations that have never listed the
// bucket: those that protect files from org.
func (tx *Tx) LinksFor(bucketID, org string) *LinkCursor {
	c := tx.Links(bucketID)
	c.counts = tx.authority(bucketID, org)
	return c
}

// OwnLinks is Links without those of other organizations.
func (tx *Tx) OwnLinks(bucketID, org string) *LinkCursor {
	c := tx.Links(bucketID)
	c.counts = alone(org)
	return c
}

// Seek moves to the first link whose stem is stem or greater. It returns false when there
// is none or the catalog is damaged (see Err).
func (c *LinkCursor) Seek(stem []byte) (*Link, bool) {
	if c.cursor == nil || c.err != nil {
		return nil, false
	}
	c.seek = appendStem(c.seek[:0], stem)
	return c.at(c.cursor.Seek(c.seek))
}

// Next moves to the next link. Call Seek first.
func (c *LinkCursor) Next() (*Link, bool) {
	if c.cursor == nil || c.err != nil {
		return nil, false
	}
	return c.at(c.cursor.Next())
}

// Err returns why the cursor stopped before the end of the links, nil if it did not. Code
// that treats unlinked files as orphans must check it.
func (c *LinkCursor) Err() error { return c.err }

func (c *LinkCursor) at(key, value []byte) (*Link, bool) {
	for ; key != nil; key, value = c.cursor.Next() {
		if c.err = c.reader.read(key, value); c.err != nil {
			return nil, false
		}
		l := &c.reader.link
		if c.counts != nil {
			var counts bool
			if counts, c.err = c.counts.has(l.Org); c.err != nil {
				return nil, false
			} else if !counts {
				continue
			}
		}
		if l.Kind.LinksStem() {
			if l.Rule, c.err = c.rules.of(l); c.err != nil {
				return nil, false
			}
		}
		return l, true
	}
	return nil, false
}

// An Owner identifies the backup record that a file belongs to.
type Owner struct{ BackupID, ProjectID string }

// Owner finds the record of an organization that links a file of a bucket: the record
// that names the path, or else one whose storagePath shares its stem, or else one that
// names it in another form (keyspace.Fold). It returns false when there is none.
func (tx *Tx) Owner(bucketID, org string, path []byte) (Owner, bool, error) {
	stem := keyspace.Stem(path)
	var id, storage string
	links := tx.Links(bucketID)
	for l, ok := links.Seek(stem); ok && string(l.Stem) == string(stem); l, ok = links.Next() {
		if string(l.Org) != org {
			continue
		}
		named, byStem := l.Links(path)
		if named || byStem && id == "" {
			id, storage = string(l.BackupID), string(l.StorageID)
		}
		if named {
			break
		}
	}
	err := links.Err()
	if err == nil && id == "" {
		if fold, other := keyspace.Folded(path); other {
			return tx.Owner(bucketID, org, fold)
		}
	}
	if err != nil || id == "" {
		return Owner{}, false, err
	}
	project, err := projectOf(tx, org, storage, id)
	return Owner{id, project}, err == nil, err
}

// projectOf reads only the project of a backup record: lists of files call it for each
// file.
func projectOf(tx *Tx, org, storage, id string) (string, error) {
	at := backupKind().of(org, storage)
	var record []byte
	if b := tx.nested(at.bucket, at.nested); b != nil {
		record = b.Get([]byte(id))
	}
	if record == nil {
		return "", notFound("backup", id)
	}
	for len(record) > 0 {
		field, kind, n := protowire.ConsumeTag(record)
		if n < 0 {
			return "", damaged("the record of backup %q cannot be read (%w)", id, protowire.ParseError(n))
		}
		record = record[n:]
		if field == projectField && kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(record)
			if n < 0 {
				return "", damaged("the record of backup %q cannot be read (%w)", id, protowire.ParseError(n))
			}
			return string(value), nil
		}
		if n = protowire.ConsumeFieldValue(field, kind, record); n < 0 {
			return "", damaged("the record of backup %q cannot be read (%w)", id, protowire.ParseError(n))
		}
		record = record[n:]
	}
	return "", nil
}

// projectField is the number of Backup.project_id in catalog.proto.
const projectField = 4
