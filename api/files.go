package api

import (
	"encoding/base64"
	"net/http"
	"strconv"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// fileBatch is how many files are read and sent at once where there is no limit.
const fileBatch = 1000

// notOurs is what is wrong with a cursor that was made up.
const notOurs = "is not one that an answer gave"

// fileFilter reads the parameters that choose files.
func (s *Server) fileFilter(q *query) index.Query {
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
	if cursor := q.str("cursor"); cursor != "" {
		path, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || len(path) == 0 {
			q.wrong["cursor"] = notOurs
		}
		filter.Cursor = path
	}
	if age := q.duration("minAge"); age > 0 {
		filter.ModifiedBefore = s.Now().Add(-age).UnixMilli()
	}
	return filter
}

// shard is what a request about files works on.
type shard struct {
	destination *pb.Destination
	bucketID    string
	meta        freshness
	// view is nil before the first sync of the destination.
	view *index.View
}

func (sh *shard) release() {
	if sh.view != nil {
		sh.view.Release()
	}
}

// openShard opens the index of the destination that the path names, after a sync if
// the client wants one.
func (s *Server) openShard(c *call, force bool) (*shard, error) {
	d, err := c.readDestination()
	if err != nil {
		return nil, err
	}
	if force {
		if err := c.force(d); err != nil {
			return nil, err
		}
	}
	sh := &shard{destination: d, bucketID: catalog.BucketID(d)}
	if err := s.Catalog.View(func(tx *catalog.Tx) (err error) {
		sh.meta, err = s.freshness(tx, d)
		return err
	}); err != nil {
		return nil, err
	}
	if sh.view, err = s.viewOf(c.context(), d, sh.meta); err != nil {
		return nil, err
	}
	return sh, nil
}

// listFiles answers the files of a destination: a page of them when there is a limit,
// else all, as a stream that takes no more memory the longer it is.
func (s *Server) listFiles(c *call) error {
	q := c.query()
	filter, force := s.fileFilter(q), q.boolean("force")
	if err := q.err(); err != nil {
		return err
	}
	sh, err := s.openShard(c, force)
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
		sh.meta.NextCursor = base64.RawURLEncoding.EncodeToString(next)
	}
	if w.buf, err = appendJSON(w.buf, sh.meta); err != nil {
		return err
	}
	w.buf = append(w.buf, "}\n"...)
	return w.end("application/json; charset=utf-8")
}

// exportFiles streams the files as lines of JSON or as CSV.
func (s *Server) exportFiles(c *call) error {
	q := c.query()
	filter, format := s.fileFilter(q), or(q.str("format"), "ndjson")
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
	sh, err := s.openShard(c, false)
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

// fileWriter writes files to the client. What fits into one batch is sent in one
// piece, with its length; more is streamed.
type fileWriter struct {
	*call
	shard       *shard
	row         func(dst []byte, e *index.Entry, o catalog.Owner, project string) []byte
	between     string
	contentType string

	buf     []byte
	entries []index.Entry
	paths   []byte
	owners  []catalog.Owner // by entry, empty where the organisation has no record of it
	// projects are the names that were looked up, for the whole request.
	projects map[string]string
	wrote    bool
}

// files writes what the filter chooses. next is the path to go on from when the
// filter's limit ended it.
func (w *fileWriter) files(filter index.Query) (next []byte, err error) {
	if w.shard.view == nil {
		return nil, nil
	}
	left := filter.Limit
	for {
		batch := filter
		batch.Limit = fileBatch
		if filter.Limit > 0 {
			batch.Limit = min(fileBatch, left)
		}
		cursor, more, err := w.read(batch)
		if err != nil {
			return nil, err
		}
		for i := range w.entries {
			if w.wrote {
				w.buf = append(w.buf, w.between...)
			}
			w.wrote = true
			b := w.owners[i]
			w.buf = w.row(w.buf, &w.entries[i], b, w.project(b))
		}
		left -= len(w.entries)
		switch {
		case !more:
			return nil, nil
		case filter.Limit > 0 && left <= 0:
			return cursor, nil
		}
		if err := w.flush(); err != nil {
			return nil, err
		}
		filter.Cursor = cursor
	}
}

// read takes a batch of files and looks up whose they are.
func (w *fileWriter) read(q index.Query) (next []byte, more bool, err error) {
	w.entries, w.paths, w.owners = w.entries[:0], w.paths[:0], w.owners[:0]
	next, more, err = w.shard.view.Query(q, func(e *index.Entry) bool {
		at := len(w.paths)
		w.paths = append(w.paths, e.Path...)
		kept := *e
		kept.Path = w.paths[at:len(w.paths):len(w.paths)]
		w.entries = append(w.entries, kept)
		return true
	})
	if err != nil {
		return nil, false, err
	}
	err = w.server.Catalog.View(func(tx *catalog.Tx) error {
		for i := range w.entries {
			var owner catalog.Owner
			if w.entries[i].Linked {
				var err error
				if owner, _, err = tx.Owner(w.shard.bucketID, w.org, w.entries[i].Path); err != nil {
					return err
				}
				if err := w.learnProject(tx, owner.ProjectID); err != nil {
					return err
				}
			}
			w.owners = append(w.owners, owner)
		}
		return nil
	})
	return next, more, err
}

// flush sends what is buffered, as part of a stream.
func (w *fileWriter) flush() error {
	if w.status == 0 {
		w.Header().Set("Content-Type", w.contentType)
		w.WriteHeader(http.StatusOK)
	}
	w.hurry()
	_, err := w.Write(w.buf)
	w.buf = w.buf[:0]
	if err != nil {
		return clientGone(err)
	}
	return nil
}

// end sends the rest.
func (w *fileWriter) end(contentType string) error {
	if w.status == 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(w.buf)))
		w.contentType = contentType
	}
	return w.flush()
}
