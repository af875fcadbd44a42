package catalog

import (
	"bytes"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// A deleteCheck decides which files may be deleted, by the links of the bucket in this
// transaction, also of other organizations that have listed it.
type deleteCheck struct {
	tx         *writeTx
	links      *LinkCursor
	marks      *bbolt.Bucket  // nil if there are none
	prefixes   [][]byte       // that PITR configurations write or ever wrote under
	start, end []byte         // of the destination's key space
	aliases    []*deleteCheck // of the same bucket under other identities
	org        string
	records    map[string]bool // deleted with their files; nil if only orphans may be deleted
	stems      map[string]*stemLinks
	folders    map[string]linkedBy // by the prefix that a record names
	belowNamed bool                // names of objects count as folders too
}

// stemLinks states which files of a stem are linked. The links of a stem are read once,
// since the parts of a backup are many files of one stem.
type stemLinks struct {
	all   linkedBy            // by the storagePath of a record
	known map[string]linkedBy // the same by the rule KnownSuffix, by stem
	files map[string]linkedBy // by a record that names the file
}

// linkedBy states which records link a file.
type linkedBy struct {
	deleted bool // a record that is deleted with the file
	others  bool
}

// checkDeletable splits the paths of a command into those that may be deleted and the
// others. What cannot be decided because the catalog is damaged must not be deleted: a node
// that stopped instead would meet the same entry at its next start.
func checkDeletable(tx *writeTx, d *pb.Destination, m *pb.BeginDelete) (allowed [][]byte, rejected []*pb.Rejection, err error) {
	allowed, rejected, err = splitDeletable(tx, d, m)
	if errors.Is(err, ErrCatalogDamaged) {
		tx.damaged(err)
		err = refuse(CodeDamaged, "%v", err)
	}
	return allowed, rejected, err
}

func splitDeletable(tx *writeTx, d *pb.Destination, m *pb.BeginDelete) (allowed [][]byte, rejected []*pb.Rejection, err error) {
	bucketID := BucketID(d)
	aliases, err := tx.read.CheckIdentity(d)
	if err != nil {
		return nil, nil, err
	}
	c, err := newDeleteCheck(tx, d, m, bucketID)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range aliases {
		other, err := newDeleteCheck(tx, d, m, id)
		if err != nil {
			return nil, nil, err
		}
		c.aliases = append(c.aliases, other)
	}
	for i, path := range m.GetPaths() {
		err := c.check(path)
		if errors.Is(err, ErrCatalogDamaged) {
			tx.damaged(err)
			err = refuse(CodeDamaged, "%v", err)
		}
		if refusal, ok := errors.AsType[*Error](err); ok {
			rejected = append(rejected, &pb.Rejection{Index: uint32(i), Code: refusal.Code, Message: refusal.Message})
		} else if err != nil {
			return nil, nil, err
		} else {
			allowed = append(allowed, path)
		}
	}
	return allowed, rejected, nil
}

func newDeleteCheck(tx *writeTx, d *pb.Destination, m *pb.BeginDelete, bucketID string) (c *deleteCheck, err error) {
	c = &deleteCheck{tx: tx, links: tx.read.LinksFor(bucketID, d.GetOrg()), marks: tx.nested(inMarks, bucketID), org: d.GetOrg(), stems: map[string]*stemLinks{}, folders: map[string]linkedBy{}, belowNamed: m.GetBelowNamed()}
	c.start, c.end = KeySpace(d)
	for _, id := range m.GetBackupIds() {
		if c.records == nil {
			c.records = map[string]bool{}
		}
		c.records[id] = true
	}
	c.prefixes, err = tx.read.PitrPrefixes(bucketID, d.GetOrg())
	return c, err
}

// check refuses, with an *Error, a path that must not be deleted.
func (c *deleteCheck) check(path []byte) error {
	if len(path) == 0 {
		return refuse(CodeInvalid, "a path is empty")
	}
	if err := checkKey("a path", path); err != nil {
		return err
	}
	if c.records == nil && (bytes.Compare(path, c.start) < 0 || !keyspace.BeforeEnd(path, c.end)) {
		return refuse(CodeInvalid, "%q is not under the path of the storage destination", path)
	}
	var n linkedBy
	for _, name := range withFold(path) {
		for _, in := range append([]*deleteCheck{c}, c.aliases...) {
			by, err := in.need(name)
			if err != nil {
				return err
			}
			n = n.or(by)
		}
	}
	switch {
	case n.others:
		return refuse(CodeNotOrphan, "%q belongs to a backup", path)
	case c.records != nil && !n.deleted:
		return refuse(CodeInvalid, "%q belongs to none of the backups to delete", path)
	}
	return nil
}

// need returns which records link a path under one identity of the bucket. It refuses a path
// that is being deleted or belongs to a PITR configuration.
func (c *deleteCheck) need(path []byte) (linkedBy, error) {
	if mark := c.mark(path); mark != nil && !isHeld(c.tx, mark) {
		return linkedBy{}, beingDeleted(path)
	}
	if slices.ContainsFunc(c.prefixes, func(p []byte) bool { return bytes.HasPrefix(path, p) }) {
		return linkedBy{}, refuse(CodeNotOrphan, "%q is under a prefix of a PITR configuration", path)
	}
	n, err := c.linkedBy(path)
	if err != nil {
		return linkedBy{}, err
	}
	return c.withFolders(n, path)
}

// mark returns the mark of a path, nil if it has none.
func (c *deleteCheck) mark(path []byte) []byte {
	if c.marks == nil {
		return nil
	}
	return c.marks.Get(path)
}

// linkedBy returns which records link a file.
func (c *deleteCheck) linkedBy(path []byte) (linkedBy, error) {
	n, err := c.ofStem(string(keyspace.Stem(path)))
	if err != nil {
		return linkedBy{}, err
	}
	return n.all.or(n.files[string(path)]).or(n.known[string(keyspace.KnownSuffix.Stem(path))]), nil
}

// ofStem returns which files of a stem are linked.
func (c *deleteCheck) ofStem(stem string) (*stemLinks, error) {
	if n := c.stems[stem]; n != nil {
		return n, nil
	}
	n := &stemLinks{known: map[string]linkedBy{}, files: map[string]linkedBy{}}
	for l, ok := c.links.Seek([]byte(stem)); ok && string(l.Stem) == stem; l, ok = c.links.Next() {
		deleted := string(l.Org) == c.org && c.records[string(l.BackupID)]
		by := linkedBy{deleted: deleted, others: !deleted}
		n.files[string(l.Path)] = n.files[string(l.Path)].or(by)
		switch {
		case !l.Kind.LinksStem():
		case l.Rule == keyspace.KnownSuffix:
			known := string(l.Rule.Stem(l.Path))
			n.known[known] = n.known[known].or(by)
		default:
			n.all = n.all.or(by)
		}
	}
	if err := c.links.Err(); err != nil {
		return nil, err
	}
	c.stems[stem] = n
	return n, nil
}

// withFolders adds to n the records that name a folder of path.
func (c *deleteCheck) withFolders(n linkedBy, path []byte) (linkedBy, error) {
	for i, b := range path {
		if b != '/' {
			continue
		}
		folder := path[:i+1]
		by, known := c.folders[string(folder)]
		if !known {
			var err error
			if by, err = c.namedBy(folder); err != nil {
				return n, err
			}
			c.folders[string(folder)] = by
		}
		n = n.or(by)
	}
	return n, nil
}

// namedBy returns which records name a folder, with or without its slash.
func (c *deleteCheck) namedBy(folder []byte) (by linkedBy, err error) {
	for l, ok := c.links.Seek(folder); ok && bytes.Equal(l.Stem, folder); l, ok = c.links.Next() {
		if l.Kind == LinkPrefix {
			deleted := string(l.Org) == c.org && c.records[string(l.BackupID)]
			by = by.or(linkedBy{deleted: deleted, others: !deleted})
		}
	}
	if err = c.links.Err(); err != nil || !c.belowNamed {
		return by, err
	}
	name := folder[:len(folder)-1]
	links, err := c.ofStem(string(keyspace.Stem(name)))
	if err != nil {
		return by, err
	}
	return by.or(links.files[string(name)]), nil
}

func (n linkedBy) or(m linkedBy) linkedBy {
	return linkedBy{deleted: n.deleted || m.deleted, others: n.others || m.others}
}
