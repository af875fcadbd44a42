package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"firescan/api"
	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/deletion"
)

// newDeleter makes what deletes files on this node. It is closed before what it stands on.
func (n *Node) newDeleter() *deletion.Deleter {
	d := deletion.NewDeleter(deletion.DeleterConfig{
		Node: n.id, Boot: rand.Text(), Catalog: n.catalog, Proposer: n.consensus, Buckets: n.buckets, Shards: shards{n.scan.keeper},
		Logger: n.log, Registerer: n.registry,
	})
	n.later(func() error { d.Close(); return nil })
	return d
}

// coordinate is the leader's work on buckets: syncs, deletions that were left open, and the
// shards of nodes that have left.
func (n *Node) coordinate(ctx context.Context) error {
	parts, failed := errgroup.WithContext(ctx)
	parts.Go(func() error { return n.scan.coordinator.Run(failed, n.cluster.Term()) })
	parts.Go(func() error { return n.deleter.Resolve(failed) })
	parts.Go(func() error { return n.scan.keeper.ForgetDeparted(failed) })
	return parts.Wait()
}

// deletes is the deleter as the API sees it.
type deletes struct{ deleter *deletion.Deleter }

var _ api.Deletes = deletes{}

// DeleteFiles implements api.Deletes.
func (d deletes) DeleteFiles(ctx context.Context, dest *pb.Destination, who string, paths [][]byte) ([]api.FileOutcome, error) {
	outcomes, err := d.deleter.DeleteFiles(ctx, deletion.DeleteRequest{Destination: dest, Who: who, Paths: paths})
	return fileOutcomes(outcomes), deleteError(err)
}

// DeleteBackups implements api.Deletes.
func (d deletes) DeleteBackups(ctx context.Context, dest *pb.Destination, who string, ids []string, files bool) (all api.BackupOutcomes, err error) {
	result, err := d.deleter.DeleteBackups(ctx, deletion.BackupsRequest{Destination: dest, Who: who, IDs: ids, Files: files})
	all.Files = result.Files
	for _, o := range result.Outcomes {
		if errors.Is(o.Err, catalog.ErrNotFound) {
			o.Err = &api.Error{Code: api.CodeBackupNotFound, Message: "Backup not found in this storage destination", Err: o.Err}
		}
		all.Backups = append(all.Backups, api.BackupOutcome{ID: o.ID, Deleted: o.Deleted, FilesDeleted: o.FilesDeleted, Err: deleteError(o.Err)})
	}
	return all, deleteError(err)
}

// PlanCleanup implements api.Deletes.
func (d deletes) PlanCleanup(ctx context.Context, dest *pb.Destination, c api.Cleanup) (api.CleanupPlan, error) {
	p, err := d.deleter.Plan(ctx, deletion.CleanupRequest{Destination: dest, Types: c.Types, Before: c.Before})
	if err != nil {
		return api.CleanupPlan{}, deleteError(err)
	}
	return api.CleanupPlan{Hash: p.Hash, Orphans: p.Files, Bytes: p.Bytes, Files: p.Of, TooLarge: p.TooLarge(), First: p.First}, nil
}

// Cleanup implements api.Deletes.
func (d deletes) Cleanup(ctx context.Context, dest *pb.Destination, who string, c api.Cleanup) (api.CleanedUp, error) {
	r, err := d.deleter.Cleanup(ctx, deletion.CleanupRequest{Destination: dest, Who: who, Types: c.Types, Before: c.Before, Confirm: c.Confirm})
	if err != nil {
		return api.CleanedUp{}, deleteError(err)
	}
	return api.CleanedUp{
		Deleted: r.Deleted, Bytes: r.Bytes, Failed: r.Failed, Errors: fileOutcomes(r.Errors), Stopped: deleteError(r.Stopped),
	}, nil
}

func fileOutcomes(outcomes []deletion.Outcome) []api.FileOutcome {
	all := make([]api.FileOutcome, len(outcomes))
	for i, o := range outcomes {
		all[i] = api.FileOutcome{Path: o.Path, Size: o.Size, Err: deleteError(o.Err)}
	}
	return all
}

// deleteError gives what keeps a file from being deleted the API's own name, where it has
// none: refusals of the catalog and failures of the provider have.
func deleteError(err error) error {
	answer := func(code api.Code, message string) error {
		return &api.Error{Code: code, Message: message, Err: err}
	}
	if plan, ok := errors.AsType[*deletion.PlanError](err); ok {
		return planError(plan)
	}
	switch {
	case errors.Is(err, deletion.ErrNotThere):
		return answer(api.CodeFileNotFound, "File not found")
	case errors.Is(err, deletion.ErrChanged):
		return answer(api.CodeConflict, "The file has changed since the last scan; sync the storage destination, then look at it again")
	case errors.Is(err, deletion.ErrUnsettled):
		return answer(api.CodeProvider, "The storage provider did not confirm the deletion; the file is still there, and is looked at again within minutes")
	case errors.Is(err, deletion.ErrRecordKept):
		return answer(api.CodeNoLeader, "The files of the backup are deleted and its record is not yet; delete it again")
	case errors.Is(err, deletion.ErrNeverSynced):
		return answer(api.CodeConflict, "The storage destination was never synced, so that no orphans are known; sync it first")
	case errors.Is(err, deletion.ErrStopping):
		return answer(api.CodeNoLeader, "This node is stopping; try again shortly")
	}
	return err
}

// planError is the answer to a cleanup that was not begun.
func planError(e *deletion.PlanError) error {
	answer := &api.Error{Code: api.CodeCleanupTooLarge, Err: e, Details: struct {
		Files   uint64 `json:"files"`
		Orphans uint64 `json:"orphans"`
		Hash    string `json:"planHash"`
	}{e.Of, e.Files, e.Hash}}
	const confirm = "; look at the plan with dryRun=true, and call again with confirm=<planHash> if it is right"
	switch {
	case e.Confirmed:
		answer.Code = api.CodeConflict
		answer.Message = fmt.Sprintf("The orphans are not those of the confirmed plan any more: it is %d of %d files now", e.Files, e.Of) + confirm
	case e.Unknown:
		answer.Message = fmt.Sprintf("No backup is known in this bucket, and the cleanup would delete %d of %d files", e.Files, e.Of) + confirm
	default:
		answer.Message = fmt.Sprintf("The cleanup would delete %d of %d files, more than half", e.Files, e.Of) + confirm
	}
	return answer
}
