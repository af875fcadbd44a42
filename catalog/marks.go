package catalog

import (
	"bytes"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// A mark states that a file is being deleted by an open intent: no record may begin to
// link it. Marks lie in a bucket per bucket identity, by object key. That bucket exists
// only while it has marks, so that records pay for the check only while files are being
// deleted. A file is marked also under the name that records may have for it (withFold).

// Marked reports whether a file of a bucket is being deleted (see BucketID).
func (tx *Tx) Marked(bucketID string, path []byte) bool {
	marks := tx.nested(inMarks, bucketID)
	return marks != nil && marks.Get(path) != nil
}

func putMarks(tx *writeTx, n *pb.Intent) error {
	if len(n.GetPaths()) == 0 {
		return nil
	}
	marks, err := tx.bucket(inMarks).CreateBucketIfNotExists([]byte(n.GetBucketId()))
	if err != nil {
		return err
	}
	for _, path := range markedKeys(n) {
		// Intents without an outcome have a path alone; those that hold it can be several.
		if err := marks.Put(path, append(bytes.Clone(withSeparator(marks.Get(path))), join(n.GetOrg(), n.GetId())...)); err != nil {
			return err
		}
	}
	return nil
}

// markedKeys returns the keys that an intent marks, each once.
func markedKeys(n *pb.Intent) [][]byte {
	keys := slices.Clone(n.GetPaths())
	for _, path := range n.GetPaths() {
		keys = append(keys, withFold(path)[1:]...)
	}
	if len(keys) == len(n.GetPaths()) {
		return keys
	}
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal)
}

// withSeparator prepares the value of a mark, which may be nil, for another holder.
func withSeparator(mark []byte) []byte {
	if mark == nil {
		return nil
	}
	return append(mark[:len(mark):len(mark)], 0)
}

// withoutHolder returns the value of a mark without one of its holders, nil if none is left.
func withoutHolder(mark []byte, org, id string) []byte {
	parts := strings.Split(string(mark), "\x00")
	var left []string
	for i := 0; i+1 < len(parts); i += 2 {
		if parts[i] != org || parts[i+1] != id {
			left = append(left, parts[i], parts[i+1])
		}
	}
	if left == nil {
		return nil
	}
	return join(left...)
}

// isHeld reports whether a mark is only held: all its intents have their outcome.
func isHeld(tx *writeTx, mark []byte) bool {
	parts := strings.Split(string(mark), "\x00")
	for i := 0; i+1 < len(parts); i += 2 {
		if tx.bucket(inAudit).Get(join(parts[i], parts[i+1])) == nil {
			return false
		}
	}
	return true
}

func clearMarks(tx *writeTx, n *pb.Intent) error {
	marks := tx.nested(inMarks, n.GetBucketId())
	if marks == nil {
		return nil // it had no paths
	}
	for _, path := range markedKeys(n) {
		left := withoutHolder(marks.Get(path), n.GetOrg(), n.GetId())
		err := marks.Delete(path)
		if left != nil {
			err = marks.Put(path, left)
		}
		if err != nil {
			return err
		}
	}
	if k, _ := marks.Cursor().First(); k != nil {
		return nil
	}
	return tx.bucket(inMarks).DeleteBucket([]byte(n.GetBucketId()))
}

// markView is the marks of a bucket as they concern an organization. Those of other
// organizations block its records only where these protect files from the others.
type markView struct {
	tx       *writeTx
	marks    *bbolt.Bucket // nil if there are none
	org      string
	ofOthers bool // marks of others count
}

func (tx *writeTx) marksFor(bucketID, org string) (*markView, error) {
	v := &markView{tx: tx, marks: tx.nested(inMarks, bucketID), org: org}
	if v.marks == nil {
		return v, nil
	}
	orgs, err := tx.read.provenOrgs(bucketID)
	v.ofOthers = orgs[everybody] || orgs[org]
	return v, err
}

// blocks reports whether a mark, which may be nil, counts.
func (v *markView) blocks(mark []byte) bool {
	if mark == nil || v.ofOthers {
		return mark != nil
	}
	parts := strings.Split(string(mark), "\x00")
	for i := 0; i+1 < len(parts); i += 2 {
		if parts[i] == v.org {
			return true
		}
	}
	return false
}

// check refuses a link to a file that is being deleted.
func (v *markView) check(l recordLink) error {
	switch l.kind {
	case LinkPrefix:
		return v.checkPrefix(l.path)
	case LinkFile:
		if v.blocks(v.marks.Get(l.path)) {
			return beingDeleted(l.path)
		}
	default:
		if marked := v.file(keyspace.Stem(l.path)); marked != nil {
			return beingDeleted(marked)
		}
	}
	return v.checkBelow(l.path)
}

// checkBelow refuses the name of an object below which a file is being deleted, as far as the
// deletion has checked for such names.
func (v *markView) checkBelow(name []byte) error {
	folder := append(bytes.Clone(name), '/')
	for rest, mark := range scan(v.marks, folder) {
		if !v.blocks(mark) {
			continue
		}
		parts := strings.Split(string(mark), "\x00")
		for i := 0; i+1 < len(parts); i += 2 {
			n, err := load[pb.Intent](v.tx.bucket(inIntents), join(parts[i], parts[i+1]))
			if err != nil {
				return err
			}
			if n.GetBelowNamed() {
				return beingDeleted(append(folder, rest...))
			}
		}
	}
	return nil
}

// checkPrefixUnmarked refuses a prefix of an organization under which a file of the bucket is
// being deleted.
func checkPrefixUnmarked(tx *writeTx, bucketID, org string, prefix []byte) error {
	marks, err := tx.marksFor(bucketID, org)
	if err != nil {
		return err
	}
	return marks.checkPrefix(prefix)
}

// checkPrefix refuses a prefix under which a file of the bucket is being deleted.
func (v *markView) checkPrefix(prefix []byte) error {
	for rest, mark := range scan(v.marks, prefix) {
		if v.blocks(mark) {
			return beingDeleted(append(bytes.Clone(prefix), rest...))
		}
	}
	return nil
}

// file returns a marked file with a stem, nil if there is none: the stem itself, or a key in
// the same folder that continues it with a dot.
func (v *markView) file(stem []byte) []byte {
	if v.blocks(v.marks.Get(stem)) {
		return stem
	}
	dotted := append(bytes.Clone(stem), '.')
	for rest, mark := range scan(v.marks, dotted) {
		if v.blocks(mark) && !bytes.Contains(rest, []byte{'/'}) {
			return append(dotted, rest...)
		}
	}
	return nil
}

func beingDeleted(path []byte) error {
	return refuse(CodeBeingDeleted, "%q is being deleted: try again when that has finished", path)
}
