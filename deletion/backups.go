package deletion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
	"firescan/provider"
)

// maxBatchBackups bounds the backups of one intent, whose ids are part of its log entries.
const maxBatchBackups = 200

// BackupsRequest asks for the deletion of backups of a destination.
type BackupsRequest struct {
	// Destination is as read from the catalog.
	Destination *pb.Destination
	// Who is recorded in the audit.
	Who string
	IDs []string
	// Files asks to delete also the files that the records name and all files that share
	// the stem of a storagePath. Without it the files become orphans.
	Files bool
}

// A BackupOutcome is the result for one backup.
type BackupOutcome struct {
	ID string
	// Deleted reports that the record does not exist anymore.
	Deleted bool
	// FilesDeleted reports that none of its files is left.
	FilesDeleted bool
	// Err is the reason why the record was kept. For a deleted record it is the reason why
	// a file was kept: another record needs it, or it is below a folder (ErrFolder).
	Err error
}

// BackupsResult is the result of DeleteBackups.
type BackupsResult struct {
	// Outcomes are in the order of the request; an id that is given twice has one twice.
	Outcomes []BackupOutcome
	// Files is the number of deleted files, and Versioned of those of which the bucket keeps a
	// version.
	Files, Versioned int
	// Bytes is the space that was freed.
	Bytes uint64
}

// backup is a backup to delete.
type backup struct {
	outcome    BackupOutcome
	record     *pb.Backup
	candidates []*candidate // shared with other backups that name the same file
	folder     bool         // there is a folder of the name of its object
}

// DeleteBackups deletes backup records and, if asked, first their files. A file that another
// record needs is kept and does not keep the record; a file that cannot be deleted does. The
// error is the reason why nothing was started.
func (d *Deleter) DeleteBackups(ctx context.Context, r BackupsRequest) (BackupsResult, error) {
	backups, byID, err := d.readBackups(r)
	if err != nil {
		return BackupsResult{}, err
	}
	op := &operation{deleter: d, destination: r.Destination, who: r.Who}
	if r.Files {
		if op, err = d.begin(ctx, r.Destination, r.Who, false); err != nil {
			return BackupsResult{}, err
		}
		op.findFiles(ctx, backups)
	}
	var result BackupsResult
	// One batch after the other: two that share a file would keep it for each other.
	for _, b := range op.groupBackups(backups) {
		b.delete(ctx, r.Files, &result)
	}
	if err := op.startError(); err != nil && !op.hasStarted() {
		return BackupsResult{}, err
	}
	for _, id := range r.IDs {
		result.Outcomes = append(result.Outcomes, byID[id].outcome)
	}
	return result, nil
}

// readBackups reads the records, each once.
func (d *Deleter) readBackups(r BackupsRequest) (list []*backup, byID map[string]*backup, err error) {
	byID = map[string]*backup{}
	err = d.config.Catalog.View(func(tx *catalog.Tx) error {
		for _, id := range r.IDs {
			if byID[id] != nil {
				continue
			}
			b := &backup{outcome: BackupOutcome{ID: id}}
			byID[id] = b
			record, err := tx.Backup(r.Destination.Org, id)
			switch {
			case err == nil && record.StorageId != r.Destination.Id, errors.Is(err, catalog.ErrNotFound):
				b.outcome.Err = catalog.ErrNotFound
			case err != nil:
				return err
			default:
				if r.Files {
					if b.outcome.Err = tx.CheckWrittenIn(r.Destination, record); b.outcome.Err != nil {
						continue
					}
				}
				b.record = record
				list = append(list, b)
			}
		}
		return nil
	})
	return list, byID, err
}

// findFiles lists the files of all backups. A backup whose files cannot be listed fails.
func (op *operation) findFiles(ctx context.Context, backups []*backup) {
	op.deleter.each(len(backups), func(i int) {
		b := backups[i]
		var paths [][]byte
		paths, b.folder, b.outcome.Err = op.filesOf(ctx, b.record)
		for _, path := range paths {
			b.candidates = append(b.candidates, &candidate{path: path, absentOK: true})
		}
	})
}

// candidateSize is about what a file takes in memory while its deletion is prepared, beside
// its key.
const candidateSize = 300

// filesOf returns the keys of a backup's files: those that the record names, whether they
// exist or not, and those in the bucket that share the stem of its storagePath. folder reports
// that there are files below a folder of that name.
func (op *operation) filesOf(ctx context.Context, record *pb.Backup) (paths [][]byte, folder bool, err error) {
	location, paths := catalog.BackupKeys(record)
	paths = slices.Clone(paths)
	if len(location) > 0 {
		paths = append(paths, location)
		// Keys that continue the stem with '.' in the same folder sort before stem + "/".
		stem, rule := string(keyspace.Stem(location)), catalog.StemRule(op.destination)
		req := provider.ListRequest{Prefix: stem, End: stem + "/", Delimiter: "/"}
		for more := true; more; {
			var page provider.Page
			if err := op.bucket.List(ctx, req, &page); err != nil {
				return nil, false, fmt.Errorf("list the files of backup %s: %w", record.Id, err)
			}
			folder = folder || slices.Contains(page.Prefixes, string(location)+"/")
			for _, o := range page.Objects {
				if !bytes.Equal(rule.Stem(o.Key), rule.Stem(location)) {
					continue
				}
				if op.held.Add(int64(len(o.Key))+candidateSize) > op.deleter.limits.held {
					return nil, false, ErrTooManyFiles
				}
				paths = append(paths, bytes.Clone(o.Key))
			}
			req.Start, more = page.Next, page.More
		}
	}
	slices.SortFunc(paths, bytes.Compare)
	return slices.CompactFunc(paths, bytes.Equal), folder, nil
}

// A backupBatch is a group of backups that are deleted under one intent, or a single backup
// under several, which has more files than one intent takes.
type backupBatch struct {
	op         *operation
	backups    []*backup
	candidates map[string]*candidate
	bytes      int
}

// groupBackups returns batches of backups, in order, as large as an intent takes.
func (op *operation) groupBackups(backups []*backup) []*backupBatch {
	var batches []*backupBatch
	var b *backupBatch
	for _, next := range backups {
		if next.outcome.Err != nil {
			continue
		}
		if b == nil || !b.hasRoom(next) {
			b = &backupBatch{op: op, candidates: map[string]*candidate{}}
			batches = append(batches, b)
		}
		b.add(next)
	}
	return batches
}

// hasRoom reports whether the batch has room for another backup.
func (b *backupBatch) hasRoom(next *backup) bool {
	paths, size := len(b.candidates), b.bytes
	for _, c := range next.candidates {
		if b.candidates[string(c.path)] == nil {
			paths, size = paths+1, size+len(c.path)
		}
	}
	return len(b.backups) < maxBatchBackups && paths <= b.op.maxFiles() && size <= maxBatchBytes
}

func (b *backupBatch) add(next *backup) {
	b.backups = append(b.backups, next)
	for i, c := range next.candidates {
		if known := b.candidates[string(c.path)]; known != nil {
			next.candidates[i] = known
			continue
		}
		b.candidates[string(c.path)] = c
		b.bytes += len(c.path)
	}
}

// delete deletes the files of the batch, if asked, and then those records of which no file
// has failed. It adds the deleted files to total.
func (b *backupBatch) delete(ctx context.Context, withFiles bool, total *BackupsResult) {
	candidates := slices.SortedFunc(maps.Values(b.candidates), func(a, b *candidate) int { return bytes.Compare(a.path, b.path) })
	ids := make([]string, len(b.backups))
	for i, v := range b.backups {
		ids[i] = v.outcome.ID
	}
	batches := b.op.split(candidates)
	if len(batches) == 0 {
		batches = []batch{{}} // records without files
	}
	var startErr error
	for i := range batches {
		batches[i].backups = ids
		if i == len(batches)-1 {
			batches[i].deletable = b.deletable
		}
		if startErr = b.op.run(ctx, batches[i]); startErr != nil {
			break
		}
	}
	for _, c := range candidates {
		if c.gone && c.seen != nil {
			total.Files++
			total.Bytes += uint64(c.outcome().Freed())
			if c.versioned {
				total.Versioned++
			}
		}
	}
	for _, v := range b.backups {
		b.setOutcome(v, startErr)
		v.outcome.FilesDeleted = v.outcome.FilesDeleted && withFiles
		if withFiles && v.namesFolder() {
			v.outcome.FilesDeleted = false
			if v.outcome.Err == nil {
				v.outcome.Err = ErrFolder
			}
		}
	}
}

// deletable returns the backups whose records can be deleted, once all files were tried.
func (b *backupBatch) deletable() (ids []string) {
	for _, v := range b.backups {
		if v.keepReason() == nil {
			ids = append(ids, v.outcome.ID)
		}
	}
	return ids
}

// namesFolder reports whether a backup names a folder, the files of which are not deleted. What
// may be a folder is none if an object had its name.
func (b *backup) namesFolder() bool {
	refs := b.record.GetReferences()
	return b.folder || slices.ContainsFunc(refs, func(folder *pb.Reference) bool {
		named := func(r *pb.Reference) bool {
			return r.GetLocation() == folder.GetLocation() && string(r.GetKey())+"/" == string(folder.GetKey())
		}
		found := func(r *pb.Reference) bool {
			return r.GetLocation() == folder.GetLocation() && b.had(r.GetKey())
		}
		return folder.GetKind() == pb.Reference_PREFIX && !(slices.ContainsFunc(refs, named) && slices.ContainsFunc(refs, found))
	})
}

// had reports whether a file of a backup existed.
func (b *backup) had(path []byte) bool {
	return slices.ContainsFunc(b.candidates, func(c *candidate) bool { return c.seen != nil && bytes.Equal(c.path, path) })
}

// keepReason returns the reason why a backup must be kept, nil when there is none.
func (b *backup) keepReason() error {
	for _, c := range b.candidates {
		if c.err != nil && !errors.Is(c.err, catalog.ErrNotOrphan) {
			return fmt.Errorf("%q: %w", c.path, c.err)
		}
	}
	return nil
}

// setOutcome sets the outcome of a backup from what could not be started or deleted, or else
// from the state of its record in the catalog.
func (b *backupBatch) setOutcome(v *backup, startErr error) {
	out := &v.outcome
	out.FilesDeleted = true
	var shared error
	for _, c := range v.candidates {
		out.FilesDeleted = out.FilesDeleted && c.gone
		if shared == nil {
			shared = c.err
		}
	}
	if out.Err = startErr; out.Err == nil {
		out.Err = v.keepReason()
	}
	if out.Err != nil {
		return
	}
	err := b.op.deleter.config.Catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.Backup(b.op.destination.Org, out.ID)
		return err
	})
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		out.Deleted, out.Err = true, shared
	case err == nil:
		out.Err = ErrRecordKept
	default:
		out.Err = err
	}
}
