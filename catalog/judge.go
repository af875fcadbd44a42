package catalog

import (
	"bytes"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// judge decides which files may be deleted. It looks at the links of the bucket as they
// are in this transaction, whichever organisation made them.
type judge struct {
	links      *LinkCursor
	marks      *bbolt.Bucket // nil: none
	prefixes   [][]byte      // that PITR configurations write under or ever wrote under
	start, end []byte        // the destination's key space
	org        string
	records    map[string]bool // to be deleted with their files; nil: orphans are asked for
	stems      map[string]*needs
}

// needs says which files of a stem are needed. Files that are many of one stem (the
// parts of a backup) are judged by one walk over its links.
type needs struct {
	all   need // by the storagePath of a record
	files map[string]need
}

// need is by whom a file is needed.
type need struct{ given, others bool } // given: by a record that is deleted with it

// judge splits the paths of a command into those that may be deleted and the others.
func (b *batch) judge(d *pb.Destination, m *pb.BeginDelete) (allowed [][]byte, rejected []*pb.Rejection, err error) {
	bucketID := BucketID(d)
	j := &judge{links: b.Links(bucketID), marks: b.nested(inMarks, bucketID), org: d.GetOrg(), stems: map[string]*needs{}}
	j.start, j.end = KeySpace(d)
	if j.prefixes, err = b.PitrPrefixes(bucketID); err != nil {
		return nil, nil, err
	}
	for _, id := range m.GetBackupIds() {
		if j.records == nil {
			j.records = map[string]bool{}
		}
		j.records[id] = true
	}
	for i, path := range m.GetPaths() {
		err := j.check(path)
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

// check refuses a path, with an *Error, that must not be deleted.
func (j *judge) check(path []byte) error {
	if len(path) == 0 {
		return refuse(CodeInvalid, "a path is empty")
	}
	if err := checkKey("a path", path); err != nil {
		return err
	}
	if j.records == nil && (bytes.Compare(path, j.start) < 0 || !keyspace.BeforeEnd(path, j.end)) {
		return refuse(CodeInvalid, "%q does not lie under the path of the storage destination", path)
	}
	if j.marks != nil && j.marks.Get(path) != nil {
		return beingDeleted(path)
	}
	if slices.ContainsFunc(j.prefixes, func(p []byte) bool { return bytes.HasPrefix(path, p) }) {
		return refuse(CodeNotOrphan, "%q lies where a PITR configuration writes", path)
	}
	n, err := j.needs(path)
	switch {
	case err != nil:
		return err
	case n.others:
		return refuse(CodeNotOrphan, "%q belongs to a backup", path)
	case j.records != nil && !n.given:
		return refuse(CodeInvalid, "%q belongs to none of the backups that are to be deleted", path)
	}
	return nil
}

// needs tells by whom a file is needed.
func (j *judge) needs(path []byte) (need, error) {
	stem := string(keyspace.Stem(path))
	n := j.stems[stem]
	if n == nil {
		n = &needs{files: map[string]need{}}
		for l, ok := j.links.Seek([]byte(stem)); ok && string(l.Stem) == stem; l, ok = j.links.Next() {
			given := string(l.Org) == j.org && j.records[string(l.BackupID)]
			by := need{given: given, others: !given}
			if l.Kind == LinkPath {
				n.all = n.all.or(by)
			} else {
				n.files[string(l.Path)] = n.files[string(l.Path)].or(by)
			}
		}
		if err := j.links.Err(); err != nil {
			return need{}, err
		}
		j.stems[stem] = n
	}
	return n.all.or(n.files[string(path)]), nil
}

func (n need) or(m need) need {
	return need{given: n.given || m.given, others: n.others || m.others}
}
