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

// bundleBackups bounds the backups of one intent, whose ids go into its log entries.
const bundleBackups = 200

// BackupsRequest asks to delete backups of a destination, as it was read from the catalog.
type BackupsRequest struct {
	Destination *pb.Destination
	// Who is put on record.
	Who string
	IDs []string
	// Files asks to delete what they name and all that shares the stem of their
	// storagePath, too; otherwise the records go and the files become orphans.
	Files bool
}

// BackupOutcome is what became of one backup.
type BackupOutcome struct {
	ID string
	// Deleted says that the record is not there any more.
	Deleted bool
	// FilesDeleted says that none of its files is left.
	FilesDeleted bool
	// Err is why the record was kept; or, where it was deleted, why a file of it was not:
	// another record needs that one.
	Err error
}

// BackupsResult is what became of them all.
type BackupsResult struct {
	// Outcomes are in the order of the request; an id that is given twice has one twice.
	Outcomes []BackupOutcome
	// Files counts the files that were deleted.
	Files int
}

// victim is a backup that is to be deleted.
type victim struct {
	BackupOutcome
	record     *pb.Backup
	candidates []*candidate // shared with other victims that name the same file
}

// DeleteBackups deletes backup records and, if asked, first their files. A file that
// another record needs stays, and does not keep the record; a file that cannot be deleted
// does. The error says why nothing was begun.
func (d *Deleter) DeleteBackups(ctx context.Context, r BackupsRequest) (BackupsResult, error) {
	victims, byID, err := d.victims(r)
	if err != nil {
		return BackupsResult{}, err
	}
	w := &deletion{Deleter: d, destination: r.Destination, who: r.Who}
	if r.Files {
		if w, err = d.begin(ctx, r.Destination, r.Who); err != nil {
			return BackupsResult{}, err
		}
		w.findFiles(ctx, victims)
	}
	var result BackupsResult
	// One bundle after the other: two that share a file would keep it for each other.
	for _, b := range w.bundle(victims) {
		result.Files += b.delete(ctx, r.Files)
	}
	if err := w.broken(); err != nil && !w.begun() {
		return BackupsResult{}, err
	}
	for _, id := range r.IDs {
		result.Outcomes = append(result.Outcomes, byID[id].BackupOutcome)
	}
	return result, nil
}

// victims reads the records, each once.
func (d *Deleter) victims(r BackupsRequest) (list []*victim, byID map[string]*victim, err error) {
	byID = map[string]*victim{}
	err = d.Catalog.View(func(tx *catalog.Tx) error {
		for _, id := range r.IDs {
			if byID[id] != nil {
				continue
			}
			v := &victim{BackupOutcome: BackupOutcome{ID: id}}
			byID[id] = v
			record, err := tx.Backup(r.Destination.Org, id)
			switch {
			case err == nil && record.StorageId != r.Destination.Id, errors.Is(err, catalog.ErrNotFound):
				v.Err = catalog.ErrNotFound
			case err != nil:
				return err
			default:
				v.record = record
				list = append(list, v)
			}
		}
		return nil
	})
	return list, byID, err
}

// findFiles lists the files of all victims. One whose files cannot be listed has failed.
func (w *deletion) findFiles(ctx context.Context, victims []*victim) {
	w.each(len(victims), func(i int) {
		v := victims[i]
		paths, err := w.filesOf(ctx, v.record)
		v.Err = err
		for _, path := range paths {
			v.candidates = append(v.candidates, &candidate{path: path, needless: true})
		}
	})
}

// filesOf lists the keys of a backup's files: those that it names, whether they are there
// or not, and those in the bucket that share the stem of its storagePath.
func (w *deletion) filesOf(ctx context.Context, record *pb.Backup) ([][]byte, error) {
	paths := slices.Clone(record.Files)
	if len(record.StoragePath) > 0 {
		paths = append(paths, record.StoragePath)
		// What goes on from the stem with '.' in the same folder lies before stem + "/".
		stem := string(keyspace.Stem(record.StoragePath))
		req := provider.ListRequest{Prefix: stem, End: stem + "/", Delimiter: "/"}
		for more := true; more; {
			var page provider.Page
			if err := w.bucket.List(ctx, req, &page); err != nil {
				return nil, fmt.Errorf("list the files of backup %s: %w", record.Id, err)
			}
			for _, o := range page.Objects {
				if string(keyspace.Stem(o.Key)) == stem {
					paths = append(paths, bytes.Clone(o.Key))
				}
			}
			req.Start, more = page.Next, page.More
		}
	}
	slices.SortFunc(paths, bytes.Compare)
	return slices.CompactFunc(paths, bytes.Equal), nil
}

// bundle is backups that are deleted under one intent; or a single one under several, which
// has more files than one takes.
type bundle struct {
	*deletion
	victims    []*victim
	candidates map[string]*candidate
	bytes      int
}

// bundle puts backups together, in order, as many as an intent takes.
func (w *deletion) bundle(victims []*victim) []*bundle {
	var bundles []*bundle
	var b *bundle
	for _, v := range victims {
		if v.Err != nil {
			continue
		}
		if b == nil || !b.takes(v) {
			b = &bundle{deletion: w, candidates: map[string]*candidate{}}
			bundles = append(bundles, b)
		}
		b.add(v)
	}
	return bundles
}

// takes tells whether the bundle has room for another backup.
func (b *bundle) takes(v *victim) bool {
	paths, size := len(b.candidates), b.bytes
	for _, t := range v.candidates {
		if b.candidates[string(t.path)] == nil {
			paths, size = paths+1, size+len(t.path)
		}
	}
	return len(b.victims) < bundleBackups && paths <= b.most() && size <= chunkBytes
}

func (b *bundle) add(v *victim) {
	b.victims = append(b.victims, v)
	for i, t := range v.candidates {
		if known := b.candidates[string(t.path)]; known != nil {
			v.candidates[i] = known
			continue
		}
		b.candidates[string(t.path)] = t
		b.bytes += len(t.path)
	}
}

// delete deletes the files of a bundle, if that is asked, and then those of its records of
// which no file has failed. It answers how many files it deleted.
func (b *bundle) delete(ctx context.Context, withFiles bool) (files int) {
	candidates := slices.SortedFunc(maps.Values(b.candidates), func(a, b *candidate) int { return bytes.Compare(a.path, b.path) })
	ids := make([]string, len(b.victims))
	for i, v := range b.victims {
		ids[i] = v.ID
	}
	chunks := b.split(candidates)
	if len(chunks) == 0 {
		chunks = []chunk{{}} // records without a file
	}
	var begun error
	for i := range chunks {
		chunks[i].backups = ids
		if i == len(chunks)-1 {
			chunks[i].doomed = b.doomed
		}
		if begun = b.run(ctx, chunks[i]); begun != nil {
			break
		}
	}
	for _, t := range candidates {
		if t.gone && t.seen != nil {
			files++
		}
	}
	for _, v := range b.victims {
		b.judge(v, begun)
		v.FilesDeleted = v.FilesDeleted && withFiles
	}
	return files
}

// doomed are the backups that may go, once all files of the bundle were tried.
func (b *bundle) doomed() (ids []string) {
	for _, v := range b.victims {
		if v.failed() == nil {
			ids = append(ids, v.ID)
		}
	}
	return ids
}

// failed is why a backup must be kept.
func (v *victim) failed() error {
	for _, t := range v.candidates {
		if t.err != nil && !errors.Is(t.err, catalog.ErrNotOrphan) {
			return fmt.Errorf("%q: %w", t.path, t.err)
		}
	}
	return nil
}

// judge notes the outcome of a backup: what could not be begun or done, or else what the
// catalog says of its record.
func (b *bundle) judge(v *victim, begun error) {
	v.FilesDeleted = true
	var shared error
	for _, t := range v.candidates {
		v.FilesDeleted = v.FilesDeleted && t.gone
		if shared == nil {
			shared = t.err
		}
	}
	if v.Err = begun; v.Err == nil {
		v.Err = v.failed()
	}
	if v.Err != nil {
		return
	}
	err := b.Catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.Backup(b.destination.Org, v.ID)
		return err
	})
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		v.Deleted, v.Err = true, shared
	case err == nil:
		v.Err = ErrRecordKept
	default:
		v.Err = err
	}
}
