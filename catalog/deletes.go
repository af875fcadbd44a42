package catalog

import (
	"slices"

	pb "firescan/catalog/catalogpb"
)

// MaxDeletes is how many paths one BeginDelete may name.
const MaxDeletes = 1000

// notTried is the reason of a path of which nobody has said what became of it. It is
// stored: it must not be reworded.
const notTried = "it was not tried"

func (b *batch) beginDelete(m *pb.BeginDelete) (*pb.Result, error) {
	if err := checkBegin(m); err != nil {
		return nil, err
	}
	key := join(m.GetOrg(), m.GetId())
	open, err := load[pb.Intent](b.bucket(inIntents), key)
	switch {
	case err != nil:
		return nil, err
	case open != nil && begunBy(open, m):
		return &pb.Result{Rejected: worded(open.GetRejected())}, nil
	case open != nil:
		return nil, refuse(CodeConflict, "deletion %q was begun with other content", m.GetId())
	case b.bucket(inAudit).Get(key) != nil:
		return nil, refuse(CodeConflict, "deletion %q has ended", m.GetId())
	}
	d, err := b.Destination(m.GetOrg(), m.GetDestinationId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != m.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed meanwhile: look at its files again", d.GetId())
	}
	n := &pb.Intent{
		Org: m.GetOrg(), Id: m.GetId(), DestinationId: d.GetId(), BucketId: BucketID(d), Who: m.GetWho(), Node: m.GetNode(),
		At: m.GetAt(), Revision: m.GetRevision(), BackupIds: m.GetBackupIds(),
	}
	if n.Paths, n.Rejected, err = b.judge(d, m); err != nil {
		return nil, err
	}
	result := &pb.Result{Rejected: n.GetRejected()}
	n.Rejected = wordless(n.GetRejected())
	if len(n.GetPaths()) == 0 && len(n.GetBackupIds()) == 0 {
		return result, nil // nothing to do, so nothing to finish
	}
	return result, firstError(
		store(b.bucket(inIntents), key, n),
		b.bucket(inIntentsByDestination).Put(join(d.GetId(), n.GetId()), []byte{}),
		b.mark(n),
	)
}

func checkBegin(m *pb.BeginDelete) error {
	if len(m.GetPaths()) > MaxDeletes || len(m.GetBackupIds()) > MaxDeletes {
		return refuse(CodeInvalid, "a deletion of %d paths and %d backups, at most %d of each are allowed",
			len(m.GetPaths()), len(m.GetBackupIds()), MaxDeletes)
	}
	return firstError(
		checkID("org", m.GetOrg()), checkID("id", m.GetId()), checkText("who", m.GetWho(), maxID), checkText("node", m.GetNode(), maxID),
	)
}

// begunBy reports whether an open intent is what the command made when it came first.
func begunBy(n *pb.Intent, m *pb.BeginDelete) bool {
	rejected := map[int]bool{}
	for _, r := range n.GetRejected() {
		rejected[int(r.GetIndex())] = true
	}
	var marked [][]byte
	for i, path := range m.GetPaths() {
		if !rejected[i] {
			marked = append(marked, path)
		}
	}
	return n.GetDestinationId() == m.GetDestinationId() && n.GetRevision() == m.GetRevision() &&
		n.GetWho() == m.GetWho() && n.GetNode() == m.GetNode() && n.GetAt() == m.GetAt() &&
		slices.Equal(n.GetBackupIds(), m.GetBackupIds()) && slices.EqualFunc(n.GetPaths(), marked, slices.Equal[[]byte])
}

func (b *batch) finishDelete(m *pb.FinishDelete) (*pb.Result, error) {
	key := join(m.GetOrg(), m.GetId())
	n, err := load[pb.Intent](b.bucket(inIntents), key)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, refuse(CodeConflict, "deletion %q is not open: it has ended, or was never begun", m.GetId())
	}
	audit := &pb.Audit{
		Org: n.GetOrg(), Id: n.GetId(), DestinationId: n.GetDestinationId(), BucketId: n.GetBucketId(),
		Who: n.GetWho(), BegunAt: n.GetAt(), FinishedAt: m.GetAt(),
	}
	if audit.Outcomes, err = outcomes(n, m); err != nil {
		return nil, err
	}
	f := b.feed(n.GetOrg())
	for _, id := range m.GetDeleteBackups() {
		old, err := lookup[pb.Backup](f.Tx, f.changes, backupShelf(), f.org, id)
		if err != nil {
			return nil, err
		}
		if old.GetStorageId() != n.GetDestinationId() {
			continue // gone, or put elsewhere meanwhile: then it needs another file, of which nobody spoke
		}
		if err := f.removeBackup(old); err != nil {
			return nil, err
		}
		audit.BackupIds = append(audit.BackupIds, id)
	}
	for _, o := range audit.GetOutcomes() {
		if o.GetDeleted() {
			d := f.deltas.of(n.GetBucketId())
			d.Deleted = append(d.Deleted, o.GetPath())
		}
	}
	return &pb.Result{Deleted: uint32(len(audit.GetBackupIds()))}, firstError(
		b.unmark(n),
		b.bucket(inIntents).Delete(key),
		b.bucket(inIntentsByDestination).Delete(join(n.GetDestinationId(), n.GetId())),
		store(b.bucket(inAudit), key, audit),
		f.finish(),
	)
}

// outcomes are those of a command and, for paths of the intent that it does not name,
// that they were not deleted. What was not intended is refused: nothing has checked it.
func outcomes(n *pb.Intent, m *pb.FinishDelete) ([]*pb.Outcome, error) {
	intended := map[string]bool{}
	for _, path := range n.GetPaths() {
		intended[string(path)] = true
	}
	told := map[string]bool{}
	for _, o := range m.GetOutcomes() {
		path := string(o.GetPath())
		if !intended[path] {
			return nil, refuse(CodeInvalid, "%q is none of the paths of deletion %q", path, n.GetId())
		}
		told[path] = true
	}
	for _, id := range m.GetDeleteBackups() {
		if !slices.Contains(n.GetBackupIds(), id) {
			return nil, refuse(CodeInvalid, "backup %q is none of those of deletion %q", id, n.GetId())
		}
	}
	all := m.GetOutcomes()
	for _, path := range n.GetPaths() {
		if !told[string(path)] {
			told[string(path)] = true
			all = append(all, &pb.Outcome{Path: path, Reason: notTried})
		}
	}
	return all, nil
}

// checkNoDeletes refuses to touch a destination in which a deletion was begun and not
// finished: whoever finishes it must find the bucket.
func (b *batch) checkNoDeletes(d *pb.Destination) error {
	for id := range scan(b.bucket(inIntentsByDestination), under(d.GetId())) {
		return refuse(CodeConflict, "files of storage destination %q are being deleted (%s): try again when that has finished", d.GetId(), id)
	}
	return nil
}

// Intents lists the deletions of all organisations that were begun and not finished, by
// organisation and id.
func (tx *Tx) Intents() ([]*pb.Intent, error) {
	return list[pb.Intent](tx.bucket(inIntents), nil, "", 0)
}

// Audit lists the finished deletions of an organisation from the greatest id (ids are
// ULIDs: the last begun) down. before is the last id seen; limit <= 0 lists all.
func (tx *Tx) Audit(org, before string, limit int) ([]*pb.Audit, error) {
	var all []*pb.Audit
	for k, v := range scanBefore(tx.bucket(inAudit), under(org), before) {
		a, err := parse[pb.Audit](k, v)
		if err != nil {
			return nil, err
		}
		if all = append(all, a); len(all) == limit {
			break
		}
	}
	return all, nil
}
