package catalog

import (
	"slices"

	pb "firescan/catalog/catalogpb"
)

// MaxDeletes is the maximum number of paths of one BeginDelete.
const MaxDeletes = 1000

// notTried is the reason of a path without an outcome. It is stored and must not be
// reworded.
const notTried = "it was not tried"

func beginDelete(tx *writeTx, m *pb.BeginDelete) (*pb.Result, error) {
	if err := checkBegin(m); err != nil {
		return nil, err
	}
	key := join(m.GetOrg(), m.GetId())
	open, err := load[pb.Intent](tx.bucket(inIntents), key)
	switch {
	case err != nil:
		return nil, err
	case tx.bucket(inAudit).Get(key) != nil: // also while the intent is open for held paths
		return nil, refuse(CodeConflict, "deletion %q has ended", m.GetId())
	case open != nil && begunBy(open, m):
		return &pb.Result{Rejected: withMessages(open.GetRejected())}, nil
	case open != nil:
		return nil, refuse(CodeConflict, "deletion %q was begun with other content", m.GetId())
	}
	d, err := tx.read.Destination(m.GetOrg(), m.GetDestinationId())
	if err != nil {
		return nil, err
	}
	if d.GetRevision() != m.GetRevision() {
		return nil, refuse(CodeConflict, "storage destination %q was changed meanwhile: list its files again", d.GetId())
	}
	if len(m.GetPaths()) > 0 {
		if err := tx.read.checkRecentProof(d, m.GetAt()); err != nil {
			return nil, err
		}
	}
	n := &pb.Intent{
		Org: m.GetOrg(), Id: m.GetId(), DestinationId: d.GetId(), BucketId: BucketID(d), Who: m.GetWho(), Node: m.GetNode(),
		At: m.GetAt(), Revision: m.GetRevision(), BackupIds: m.GetBackupIds(), BelowNamed: m.GetBelowNamed(),
	}
	if n.Paths, n.Rejected, err = checkDeletable(tx, d, m); err != nil {
		return nil, err
	}
	result := &pb.Result{Rejected: n.GetRejected()}
	n.Rejected = withoutMessages(n.GetRejected())
	if len(n.GetPaths()) == 0 && len(n.GetBackupIds()) == 0 {
		return result, nil // nothing to delete
	}
	return result, firstError(
		store(tx.bucket(inIntents), key, n),
		tx.bucket(inIntentsByDestination).Put(join(d.GetId(), n.GetId()), []byte{}),
		putMarks(tx, n),
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

// begunBy reports whether an open intent was made by the same command.
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

func finishDelete(tx *writeTx, m *pb.FinishDelete) (*pb.Result, error) {
	key := join(m.GetOrg(), m.GetId())
	n, err := load[pb.Intent](tx.bucket(inIntents), key)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, refuse(CodeConflict, "deletion %q is not open: it has ended, or was never begun", m.GetId())
	}
	audit, err := load[pb.Audit](tx.bucket(inAudit), key)
	if err != nil {
		return nil, err
	}
	if audit == nil {
		audit = &pb.Audit{
			Org: n.GetOrg(), Id: n.GetId(), DestinationId: n.GetDestinationId(), BucketId: n.GetBucketId(),
			Who: n.GetWho(), BegunAt: n.GetAt(), FinishedAt: m.GetAt(),
		}
	}
	results, err := outcomes(n, audit, m)
	if err != nil {
		return nil, err
	}
	recordOutcomes(audit, results)
	removed := 0
	w := newRecordWriter(tx, n.GetOrg())
	for _, id := range m.GetDeleteBackups() {
		old, err := lookup[pb.Backup](w.tx.read, w.tx.changes, backupKind(), w.org, id)
		if err != nil {
			return nil, err
		}
		if old.GetStorageId() != n.GetDestinationId() {
			continue // deleted, or moved to another destination, where it needs another file
		}
		if err := w.removeBackup(old); err != nil {
			return nil, err
		}
		audit.BackupIds = append(audit.BackupIds, id)
		removed++
	}
	for _, o := range results {
		if o.GetDeleted() {
			d := w.deltas.of(n.GetBucketId())
			d.Deleted = append(d.Deleted, o.GetPath())
		}
	}
	return &pb.Result{Deleted: uint32(removed)}, firstError(
		release(tx, key, n, audit, results),
		store(tx.bucket(inAudit), key, audit),
		w.flush(),
	)
}

// release ends an intent, or reduces it to the paths that are held.
func release(tx *writeTx, key []byte, n *pb.Intent, audit *pb.Audit, results []*pb.Outcome) error {
	if err := clearMarks(tx, n); err != nil {
		return err
	}
	var held [][]byte
	for _, o := range results {
		if o.GetHeld() {
			held = append(held, o.GetPath())
		}
	}
	if held == nil {
		return firstError(
			tx.bucket(inIntents).Delete(key),
			tx.bucket(inIntentsByDestination).Delete(join(n.GetDestinationId(), n.GetId())),
		)
	}
	n.Paths, n.Rejected = held, nil
	n.BackupIds = slices.DeleteFunc(slices.Clone(n.GetBackupIds()), func(id string) bool { return slices.Contains(audit.GetBackupIds(), id) })
	return firstError(store(tx.bucket(inIntents), key, n), putMarks(tx, n))
}

// recordOutcomes adds results to an audit record. A path that was deleted stays so, with
// its size: the object of a later result is another one.
func recordOutcomes(audit *pb.Audit, results []*pb.Outcome) {
	if audit.Outcomes == nil {
		audit.Outcomes = results
		return
	}
	known := map[string]int{}
	for i, o := range audit.GetOutcomes() {
		known[string(o.GetPath())] = i
	}
	for _, o := range results {
		i := known[string(o.GetPath())] // every path has an outcome since the first command
		if audit.Outcomes[i].GetDeleted() {
			audit.Outcomes[i].Held = o.GetHeld()
		} else {
			audit.Outcomes[i] = o
		}
	}
}

// outcomes returns the outcomes of a command, with "not deleted" for other paths of the
// intent. Outcomes of other paths are refused: their links were not checked.
//
// An outcome of a path that an earlier FinishDelete has released, and a backup that it has
// removed, are dropped: the command was sent twice, or two nodes have finished the intent.
func outcomes(n *pb.Intent, audit *pb.Audit, m *pb.FinishDelete) ([]*pb.Outcome, error) {
	intended := map[string]bool{}
	for _, path := range n.GetPaths() {
		intended[string(path)] = true
	}
	released := map[string]bool{}
	for _, o := range audit.GetOutcomes() {
		released[string(o.GetPath())] = !intended[string(o.GetPath())]
	}
	named := map[string]bool{}
	var all []*pb.Outcome
	for _, o := range m.GetOutcomes() {
		path := string(o.GetPath())
		if released[path] {
			continue
		}
		if !intended[path] {
			return nil, refuse(CodeInvalid, "%q is not a path of deletion %q", path, n.GetId())
		}
		named[path] = true
		all = append(all, o)
	}
	for _, id := range m.GetDeleteBackups() {
		if !slices.Contains(n.GetBackupIds(), id) && !slices.Contains(audit.GetBackupIds(), id) {
			return nil, refuse(CodeInvalid, "backup %q is not part of deletion %q", id, n.GetId())
		}
	}
	for _, path := range n.GetPaths() {
		if !named[string(path)] {
			named[string(path)] = true
			all = append(all, &pb.Outcome{Path: path, Reason: notTried})
		}
	}
	return all, nil
}

// checkNoDeletes refuses to change a destination with an open deletion, which must find
// the bucket until it ends.
func checkNoDeletes(tx *writeTx, d *pb.Destination) error {
	for id := range scan(tx.bucket(inIntentsByDestination), under(d.GetId())) {
		return refuse(CodeConflict, "files of storage destination %q are being deleted (%s): try again when that has finished", d.GetId(), id)
	}
	return nil
}

// Intents returns the open deletions of all organizations, by organization and id.
func (tx *Tx) Intents() ([]*pb.Intent, error) {
	return list[pb.Intent](tx.bucket(inIntents), nil, "", 0)
}

// DeletedBy returns the paths of an open intent that have an outcome, each with whether it
// was deleted. It is nil for an intent without any outcome.
func (tx *Tx) DeletedBy(org, intent string) (map[string]bool, error) {
	audit, err := load[pb.Audit](tx.bucket(inAudit), join(org, intent))
	if audit == nil || err != nil {
		return nil, err
	}
	deleted := map[string]bool{}
	for _, o := range audit.GetOutcomes() {
		deleted[string(o.GetPath())] = o.GetDeleted()
	}
	return deleted, nil
}

// Audit returns the finished deletions of an organization in descending order of id (ids
// are ULIDs: the last begun first). before is the last id seen; limit <= 0 returns all.
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
