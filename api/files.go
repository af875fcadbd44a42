package api

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"firescan/deletion"
	"firescan/index"
)

// files has the handlers of files.
type files struct {
	shards       *shards
	deleter      Deleter
	orphanMinAge time.Duration // default of cleanups
}

// fileFilter reads the parameters that select files.
func fileFilter(q *query, now time.Time) index.Query {
	filter := index.Query{
		Prefix: []byte(q.str("prefix")), OrphansOnly: q.boolean("orphansOnly"), Limit: q.limit(1 << 30),
	}
	if t := q.str("type"); t != "" {
		typ, err := index.ParseType(t)
		if err != nil {
			q.wrong["type"] = "must be one of backup, meta, auth, pitr, unknown"
		}
		filter.Type = &typ
	}
	filter.Cursor = q.cursor()
	if age := q.duration("minAge"); age > 0 {
		filter.ModifiedBefore = now.Add(-age).UnixMilli()
	}
	return filter
}

// list returns the files of a destination: one page with a limit, else all of them as a
// stream in constant memory.
func (h *files) list(c *call) error {
	q := c.query()
	filter, force := fileFilter(q, c.backend.now()), q.force()
	if err := q.err(); err != nil {
		return err
	}
	sh, err := h.shards.open(c, force)
	if err != nil {
		return err
	}
	defer sh.release()
	var totals index.Totals
	if sh.view != nil {
		if totals, err = sh.view.Totals(filter); err != nil {
			return err
		}
	}
	w := newFileWriter(c, sh, appendFileJSON, ",")
	defer w.free()
	w.buf = append(w.buf, `{"success":true,"data":{"files":[`...)
	next, err := w.files(filter)
	if err != nil {
		return err
	}
	w.buf = append(w.buf, `],"total":`...)
	w.buf = strconv.AppendUint(w.buf, totals.Files, 10)
	w.buf = append(w.buf, `,"totalSize":"`...)
	w.buf = strconv.AppendUint(w.buf, totals.Bytes, 10)
	w.buf = append(w.buf, `","orphanSize":"`...)
	w.buf = strconv.AppendUint(w.buf, totals.OrphanBytes, 10)
	w.buf = append(w.buf, `","orphanCount":`...)
	w.buf = strconv.AppendUint(w.buf, totals.OrphanFiles, 10)
	w.buf = append(w.buf, `},"meta":`...)
	if next != nil {
		sh.meta.NextCursor = c.cursorAfter(next)
	}
	if w.buf, err = appendJSON(w.buf, sh.meta); err != nil {
		return err
	}
	w.buf = append(w.buf, "}\n"...)
	return w.end("application/json; charset=utf-8")
}

// export streams the files as NDJSON or CSV.
func (h *files) export(c *call) error {
	q := c.query()
	filter, format := fileFilter(q, c.backend.now()), cmp.Or(q.str("format"), "ndjson")
	row, kind := appendFileLine, "application/x-ndjson"
	switch format {
	case "ndjson":
	case "csv":
		row, kind = appendFileCSV, "text/csv; charset=utf-8"
	default:
		q.wrong["format"] = "must be ndjson or csv"
	}
	if err := q.err(); err != nil {
		return err
	}
	sh, err := h.shards.open(c, false)
	if err != nil {
		return err
	}
	defer sh.release()
	c.Header().Set("Content-Disposition", `attachment; filename="`+sh.destination.Id+"."+format+`"`)
	w := newFileWriter(c, sh, row, "")
	defer w.free()
	w.contentType = kind
	if format == "csv" {
		w.buf = append(w.buf, csvHeader...)
	}
	if _, err := w.files(filter); err != nil {
		return err
	}
	return w.end(kind)
}

// A Deleter deletes orphans and backups; *deletion.Deleter is one.
type Deleter interface {
	DeleteFiles(ctx context.Context, r deletion.FilesRequest) ([]deletion.Outcome, error)
	DeleteBackups(ctx context.Context, r deletion.BackupsRequest) (deletion.BackupsResult, error)
	Plan(ctx context.Context, r deletion.CleanupRequest) (*deletion.Plan, error)
	Cleanup(ctx context.Context, r deletion.CleanupRequest) (*deletion.CleanupResult, error)
}
