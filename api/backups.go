package api

import (
	"fmt"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// backups has the handlers of backup records.
type backups struct {
	shards  *shards
	deleter Deleter
}

type backupView struct {
	ID          string   `json:"id"`
	ProjectID   string   `json:"projectId"`
	ProjectName string   `json:"projectName"`
	Status      string   `json:"status"`
	Size        int64    `json:"size"`
	Collections []string `json:"collections"`
	CreatedAt   stamp    `json:"createdAt"`
	StoragePath string   `json:"storagePath"`

	// Only in lists of missing backups: the locations that were not found, and those that no
	// sync has looked for.
	State        string   `json:"state,omitempty"` // missing or notLookedFor
	Missing      []string `json:"missing,omitempty"`
	NotLookedFor []string `json:"notLookedFor,omitempty"`
}

// A listedBackup is a record with what is known of its objects, if that was asked for.
type listedBackup struct {
	record *pb.Backup
	backupState
}

// backupPage reads at most limit records of a destination after a cursor. next is nil
// at the end.
type backupPage func(tx *catalog.Tx, cursor []byte, limit int) (list []listedBackup, next []byte, err error)

// backupTotals are the sums of a list.
type backupTotals struct {
	Count, Size           uint64
	Missing, NotLookedFor uint64 // in a list of missing ones: Count in two parts
}

// list returns the backup records of a destination or of a tombstone; with missing=true those
// with an object that the last sync did not find or did not look for. Without a limit all of
// them are streamed.
func (h *backups) list(c *call) error {
	q := c.query()
	limit, missing := q.limit(maxPage), q.boolean("missing")
	cursor := q.cursor()
	if err := q.err(); err != nil {
		return err
	}
	d, err := c.readKnownDestination()
	if err != nil {
		return err
	}
	if !missing {
		return c.streamBackups(recordPage(c.org, d.Id), recordTotals(c.backend.catalog, c.org, d.Id), cursor, limit, "")
	}
	view, err := h.viewOf(c, d)
	if err != nil {
		return err
	}
	if view != nil {
		defer view.Release()
	}
	m, err := h.shards.openMissing(c, d, view)
	if err != nil {
		return err
	}
	defer m.release()
	return c.streamBackups(m.page, m.totals, cursor, limit, `,"missingCount":%d,"notLookedForCount":%d`)
}

// viewOf opens the shard of a destination, nil before its first sync.
func (h *backups) viewOf(c *call, d *pb.Destination) (*index.View, error) {
	if d.DeletedAt != 0 {
		return nil, nil //nolint:nilnil // a tombstone has no shard
	}
	var fresh freshness
	if err := c.backend.catalog.View(func(tx *catalog.Tx) (err error) {
		fresh, err = h.shards.syncs.freshness(tx, c.backend.now(), d)
		return err
	}); err != nil {
		return nil, err
	}
	return h.shards.view(c.context(), d, fresh)
}

func recordPage(org, destination string) backupPage {
	return func(tx *catalog.Tx, cursor []byte, limit int) (list []listedBackup, next []byte, err error) {
		records, err := tx.Backups(org, destination, string(cursor), limit+1)
		if len(records) > limit {
			records = records[:limit]
			next = []byte(records[limit-1].Id)
		}
		for _, b := range records {
			list = append(list, listedBackup{record: b})
		}
		return list, next, err
	}
}

func recordTotals(from *catalog.Catalog, org, destination string) func() (backupTotals, error) {
	return func() (n backupTotals, err error) {
		err = from.View(func(tx *catalog.Tx) error {
			counters, err := tx.Counters(org, destination)
			n.Count, n.Size = counters.Backups, counters.BackupBytes
			return err
		})
		return n, err
	}
}

// streamBackups sends records in batches, in constant memory. counts formats further totals.
func (c *call) streamBackups(page backupPage, totals func() (backupTotals, error), cursor []byte, limit int, counts string) error {
	buf := []byte(`{"success":true,"data":{"backups":[`)
	projects := map[string]string{}
	var next []byte
	for sent := 0; ; {
		batch := fileBatch
		if limit > 0 {
			batch = limit
		}
		var views []backupView
		if err := c.backend.catalog.View(func(tx *catalog.Tx) error {
			list, after, err := page(tx, cursor, batch)
			next = after
			for _, b := range list {
				v, err := showBackup(tx, c.org, b, projects)
				if err != nil {
					return err
				}
				views = append(views, v)
			}
			return err
		}); err != nil {
			return err
		}
		for _, v := range views {
			if sent++; sent > 1 {
				buf = append(buf, ',')
			}
			var err error
			if buf, err = appendJSON(buf, v); err != nil {
				return err
			}
		}
		if next == nil || limit > 0 {
			break
		}
		cursor = next
		if err := c.send(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	n, err := totals()
	if err != nil {
		return err
	}
	buf = fmt.Appendf(buf, `],"totalCount":%d,"totalSize":%d`, n.Count, n.Size)
	if counts != "" {
		buf = fmt.Appendf(buf, counts, n.Missing, n.NotLookedFor)
	}
	buf = append(buf, '}')
	if next != nil {
		buf = append(buf, `,"meta":{"nextCursor":"`+c.cursorAfter(next)+`"}`...)
	}
	return c.send(append(buf, "}\n"...))
}

func showBackup(tx *catalog.Tx, org string, b listedBackup, projects map[string]string) (backupView, error) {
	r := b.record
	name, known := projects[r.ProjectId]
	if !known {
		var err error
		if name, err = projectName(tx, org, r.ProjectId); err != nil {
			return backupView{}, err
		}
		projects[r.ProjectId] = name
	}
	v := backupView{
		ID: r.Id, ProjectID: r.ProjectId, ProjectName: name, Status: r.Status, Size: r.Size,
		Collections: append([]string{}, r.Collections...), CreatedAt: stamp(r.CreatedAt), StoragePath: string(r.StoragePath),
		Missing: b.missing, NotLookedFor: b.notLookedFor,
	}
	switch {
	case len(v.Missing) > 0:
		v.State = "missing"
	case len(v.NotLookedFor) > 0:
		v.State = "notLookedFor"
	}
	return v, nil
}
