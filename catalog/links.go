package catalog

import (
	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
)

// LinkCursor walks the links of one bucket in ascending bytewise order of their
// stems; the links of one stem come in no promised order. It allocates nothing a
// step: what a Link holds is valid until the next call on the cursor, and never
// beyond the transaction. A cursor is for one goroutine.
type LinkCursor struct {
	cursor *bbolt.Cursor // nil: the bucket has no links
	reader linkReader
	seek   []byte
	err    error
}

// Links opens a cursor on the links of a bucket (see BucketID).
func (tx *Tx) Links(bucketID string) *LinkCursor {
	c := &LinkCursor{}
	if b := tx.nested(inLinks, bucketID); b != nil {
		c.cursor = b.Cursor()
	}
	return c
}

// Seek moves to the first link whose stem is stem or greater; false when there
// is none, or the catalog is damaged (see Err).
func (c *LinkCursor) Seek(stem []byte) (*Link, bool) {
	if c.cursor == nil || c.err != nil {
		return nil, false
	}
	c.seek = appendStem(c.seek[:0], stem)
	return c.at(c.cursor.Seek(c.seek))
}

// Next moves on by one link. Call Seek first.
func (c *LinkCursor) Next() (*Link, bool) {
	if c.cursor == nil || c.err != nil {
		return nil, false
	}
	return c.at(c.cursor.Next())
}

// Err is why the cursor stopped, when that was not the end of the links. Who
// decides on it that a file is an orphan must ask.
func (c *LinkCursor) Err() error { return c.err }

func (c *LinkCursor) at(key, value []byte) (*Link, bool) {
	if key == nil {
		return nil, false
	}
	if c.err = c.reader.read(key, value); c.err != nil {
		return nil, false
	}
	return &c.reader.link, true
}

// LinkedBackup finds the record of an organisation that links a file of a
// bucket: one that names the path, rather than one that shares its stem. Records
// of other organisations do not count, although they make the file linked.
func (tx *Tx) LinkedBackup(bucketID, org string, path []byte) (*pb.Backup, bool, error) {
	stem := Stem(path)
	var id string
	links := tx.Links(bucketID)
	for l, ok := links.Seek(stem); ok && string(l.Stem) == string(stem); l, ok = links.Next() {
		if string(l.Org) != org {
			continue
		}
		named := string(l.Path) == string(path)
		if named || l.Kind == LinkPath && id == "" {
			id = string(l.BackupID)
		}
		if named {
			break
		}
	}
	if err := links.Err(); err != nil || id == "" {
		return nil, false, err
	}
	b, err := tx.Backup(org, id)
	return b, err == nil, err
}
