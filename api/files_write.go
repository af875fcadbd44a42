package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"firescan/catalog"
	"firescan/index"
)

// writers are used again, since a page is mostly their buffers.
var writers = sync.Pool{New: func() any { return &fileWriter{} }}

func newFileWriter(c *call, sh *shard, row func([]byte, *index.Entry, catalog.Owner, string) []byte, between string) *fileWriter {
	w := writers.Get().(*fileWriter) //nolint:forcetypeassert // the pool holds nothing else
	w.call, w.shard, w.row, w.between = c, sh, row, between
	w.contentType = "application/json; charset=utf-8"
	w.buf, w.wrote, w.projects = w.buf[:0], false, map[string]string{}
	return w
}

// free gives the writer back for another request.
func (w *fileWriter) free() {
	w.call, w.shard, w.projects = nil, nil, nil
	if cap(w.buf) < 1<<20 {
		writers.Put(w)
	}
}

// learnProject looks the name of a project up, once a request.
func (w *fileWriter) learnProject(tx *catalog.Tx, id string) error {
	if _, known := w.projects[id]; known || id == "" {
		return nil
	}
	name, err := projectName(tx, w.org, id)
	w.projects[id] = name
	return err
}

func (w *fileWriter) project(o catalog.Owner) string { return w.projects[o.ProjectID] }

// projectName is empty for a project that the catalog does not know.
func projectName(tx *catalog.Tx, org, id string) (string, error) {
	p, err := tx.Project(org, id)
	if errors.Is(err, catalog.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return p.Name, nil
}

// appendFileJSON appends a file as the specification shows it.
func appendFileJSON(dst []byte, e *index.Entry, o catalog.Owner, project string) []byte {
	dst = append(dst, `{"path":`...)
	dst = appendString(dst, e.Path)
	dst = append(dst, `,"size":"`...)
	dst = strconv.AppendInt(dst, e.Size, 10)
	dst = append(dst, `","lastModified":`...)
	if e.ModTime > 0 {
		dst = appendTime(dst, e.ModTime)
	} else {
		dst = append(dst, "null"...)
	}
	if o.BackupID != "" {
		dst = append(dst, `,"backupId":`...)
		dst = appendString(dst, o.BackupID)
		dst = append(dst, `,"projectId":`...)
		dst = appendString(dst, o.ProjectID)
		if project != "" {
			dst = append(dst, `,"projectName":`...)
			dst = appendString(dst, project)
		}
	}
	dst = append(dst, `,"type":"`...)
	dst = append(dst, e.Type.String()...)
	dst = append(dst, `","isOrphan":`...)
	dst = strconv.AppendBool(dst, !e.Linked)
	return append(dst, '}')
}

func appendFileLine(dst []byte, e *index.Entry, o catalog.Owner, project string) []byte {
	return append(appendFileJSON(dst, e, o, project), '\n')
}

const csvHeader = "path,size,lastModified,backupId,projectId,projectName,type,isOrphan\r\n"

// appendFileCSV appends a file as a row in the form of RFC 4180.
func appendFileCSV(dst []byte, e *index.Entry, o catalog.Owner, project string) []byte {
	dst = appendCell(dst, string(e.Path))
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, e.Size, 10)
	dst = append(dst, ',')
	if e.ModTime > 0 {
		stamp := appendTime(nil, e.ModTime)
		dst = append(dst, stamp[1:len(stamp)-1]...)
	}
	dst = append(dst, ',')
	dst = appendCell(dst, o.BackupID)
	dst = append(dst, ',')
	dst = appendCell(dst, o.ProjectID)
	dst = append(dst, ',')
	dst = appendCell(dst, project)
	dst = append(dst, ',')
	dst = append(dst, e.Type.String()...)
	dst = append(dst, ',')
	dst = strconv.AppendBool(dst, !e.Linked)
	return append(dst, "\r\n"...)
}

// appendCell quotes a cell where it must be.
func appendCell(dst []byte, s string) []byte {
	if !strings.ContainsAny(s, "\",\r\n") {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(s, `"`, `""`)...)
	return append(dst, '"')
}

// appendJSON appends any value as encoding/json writes it.
func appendJSON(dst []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(dst, data...), err
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= ' ' && b != '"' && b != '\\' && b < utf8.RuneSelf {
			i++
			continue
		}
		if b < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			switch b {
			case '"', '\\':
				dst = append(dst, '\\', b)
			case '\n':
				dst = append(dst, `\n`...)
			case '\r':
				dst = append(dst, `\r`...)
			case '\t':
				dst = append(dst, `\t`...)
			default:
				dst = append(dst, `\u00`...)
				dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\ufffd`...)
			i++
			start = i
			continue
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
