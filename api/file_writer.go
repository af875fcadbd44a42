package api

import (
	"net/http"
	"strconv"
	"sync"

	"firescan/catalog"
	"firescan/index"
)

// fileWriter writes files to the client. A single batch is sent in one piece, with its
// length; more are streamed.
type fileWriter struct {
	call        *call
	shard       *shard
	row         func(dst []byte, e *index.Entry, o catalog.Owner, project string) []byte
	between     string
	contentType string

	buf     []byte
	entries []index.Entry
	paths   []byte
	owners  []catalog.Owner // by entry, empty without a record of the organization
	// projects are the names that were looked up for this request.
	projects map[string]string
	wrote    bool
}

// files writes the files that the filter selects. next is the path to continue from
// when the limit ended the list.
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

// read reads a batch of files and looks up their owners.
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
	err = w.call.backend.catalog.View(func(tx *catalog.Tx) error {
		for i := range w.entries {
			var owner catalog.Owner
			if w.entries[i].Linked {
				var err error
				if owner, _, err = tx.Owner(w.shard.bucketID, w.call.org, w.entries[i].Path); err != nil {
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

// flush sends the buffer as part of a stream.
func (w *fileWriter) flush() error {
	if w.call.status == 0 {
		w.call.Header().Set("Content-Type", w.contentType)
		w.call.WriteHeader(http.StatusOK)
	}
	w.call.extendWriteDeadline()
	_, err := w.call.Write(w.buf)
	w.buf = w.buf[:0]
	if err != nil {
		return clientGone(err)
	}
	return nil
}

// end sends the rest.
func (w *fileWriter) end(contentType string) error {
	if w.call.status == 0 {
		w.call.Header().Set("Content-Length", strconv.Itoa(len(w.buf)))
		w.contentType = contentType
	}
	return w.flush()
}

// writers are reused, since most of the memory of a page is their buffers.
var writers = sync.Pool{New: func() any { return &fileWriter{} }}

func newFileWriter(c *call, sh *shard, row func([]byte, *index.Entry, catalog.Owner, string) []byte, between string) *fileWriter {
	w := writers.Get().(*fileWriter) //nolint:forcetypeassert // the pool holds nothing else
	w.call, w.shard, w.row, w.between = c, sh, row, between
	w.contentType = "application/json; charset=utf-8"
	w.buf, w.wrote, w.projects = w.buf[:0], false, map[string]string{}
	return w
}

// free returns the writer to the pool.
func (w *fileWriter) free() {
	w.call, w.shard, w.projects = nil, nil, nil
	if cap(w.buf) < 1<<20 {
		writers.Put(w)
	}
}

// learnProject looks up the name of a project, once per request.
func (w *fileWriter) learnProject(tx *catalog.Tx, id string) error {
	if _, known := w.projects[id]; known || id == "" {
		return nil
	}
	name, err := projectName(tx, w.call.org, id)
	w.projects[id] = name
	return err
}

func (w *fileWriter) project(o catalog.Owner) string { return w.projects[o.ProjectID] }

// fileBatch is the number of files that are read and sent at once without a limit.
const fileBatch = 1000
