package api

import (
	"encoding/base64"
	"errors"
	"strconv"

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
}

// backupPage reads at most limit records of a destination after a cursor. next is nil
// at the end.
type backupPage func(tx *catalog.Tx, cursor []byte, limit int) (list []*pb.Backup, next []byte, err error)

// list returns the backup records of a destination; with missing=true those whose file
// the last sync did not find. Without a limit all of them are streamed.
func (h *backups) list(c *call) error {
	q := c.query()
	limit, missing := q.limit(maxPage), q.boolean("missing")
	cursor, err := base64.RawURLEncoding.DecodeString(q.str("cursor"))
	if err != nil {
		q.wrong["cursor"] = invalidCursor
	}
	if err := q.err(); err != nil {
		return err
	}
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	page, totals := recordPage(c.org, d.Id), recordTotals(c.backend.catalog, c.org, d.Id)
	if missing {
		var fresh freshness
		if err := c.backend.catalog.View(func(tx *catalog.Tx) (err error) {
			fresh, err = h.shards.syncs.freshness(tx, c.backend.now(), d)
			return err
		}); err != nil {
			return err
		}
		view, err := h.shards.view(c.context(), d, fresh)
		if err != nil {
			return err
		}
		if view != nil {
			defer view.Release()
		}
		page, totals = missingPage(c.org, view), missingTotals(c.backend.catalog, c.org, view)
	}
	return c.streamBackups(page, totals, cursor, limit)
}

func recordPage(org, destination string) backupPage {
	return func(tx *catalog.Tx, cursor []byte, limit int) ([]*pb.Backup, []byte, error) {
		list, err := tx.Backups(org, destination, string(cursor), limit+1)
		if err != nil || len(list) <= limit {
			return list, nil, err
		}
		return list[:limit], []byte(list[limit-1].Id), nil
	}
}

// backupTotals sums up the list of a page.
type backupTotals func() (count, bytes uint64, err error)

func recordTotals(from *catalog.Catalog, org, destination string) backupTotals {
	return func() (count, bytes uint64, err error) {
		err = from.View(func(tx *catalog.Tx) error {
			n, err := tx.Counters(org, destination)
			count, bytes = n.Backups, n.BackupBytes
			return err
		})
		return count, bytes, err
	}
}

func missingPage(org string, view *index.View) backupPage {
	return func(tx *catalog.Tx, cursor []byte, limit int) (list []*pb.Backup, next []byte, err error) {
		if view == nil {
			return nil, nil, nil
		}
		missing, next, err := view.Missing(org, cursor, limit)
		if errors.Is(err, index.ErrInvalid) {
			return nil, nil, invalidField("cursor", invalidCursor)
		}
		for _, m := range missing {
			b, err := tx.Backup(org, string(m.BackupID))
			if errors.Is(err, catalog.ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				return nil, nil, err
			}
			list = append(list, b)
		}
		return list, next, err
	}
}

// missingTotals sums up the missing records. There may be as many of them as records,
// so each page has a separate transaction.
func missingTotals(from *catalog.Catalog, org string, view *index.View) backupTotals {
	page := missingPage(org, view)
	return func() (count, bytes uint64, err error) {
		for cursor := []byte(nil); ; {
			err := from.View(func(tx *catalog.Tx) error {
				list, next, err := page(tx, cursor, fileBatch)
				for _, b := range list {
					count++
					bytes += uint64(max(b.Size, 0))
				}
				cursor = next
				return err
			})
			if cursor == nil || err != nil {
				return count, bytes, err
			}
		}
	}
}

// streamBackups sends records in batches, in constant memory.
func (c *call) streamBackups(page backupPage, totals backupTotals, cursor []byte, limit int) error {
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
	count, bytes, err := totals()
	if err != nil {
		return err
	}
	buf = append(buf, `],"totalCount":`...)
	buf = strconv.AppendUint(buf, count, 10)
	buf = append(buf, `,"totalSize":`...)
	buf = strconv.AppendUint(buf, bytes, 10)
	buf = append(buf, '}')
	if next != nil {
		buf = append(buf, `,"meta":{"nextCursor":"`+base64.RawURLEncoding.EncodeToString(next)+`"}`...)
	}
	return c.send(append(buf, "}\n"...))
}

func showBackup(tx *catalog.Tx, org string, b *pb.Backup, projects map[string]string) (backupView, error) {
	name, known := projects[b.ProjectId]
	if !known {
		var err error
		if name, err = projectName(tx, org, b.ProjectId); err != nil {
			return backupView{}, err
		}
		projects[b.ProjectId] = name
	}
	return backupView{
		b.Id, b.ProjectId, name, b.Status, b.Size, append([]string{}, b.Collections...), stamp(b.CreatedAt), string(b.StoragePath),
	}, nil
}
