package api

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"firescan/catalog"
	"firescan/index"
)

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

// appendFileCSV appends a file as a row in the form of RFC 4180. Names that a spreadsheet would
// take for a formula begin with an apostrophe: whoever may store a file chooses its name. NDJSON
// has the exact names.
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

// appendCell quotes a cell where necessary. The characters that begin a formula are those of
// OWASP's "CSV Injection".
func appendCell(dst []byte, s string) []byte {
	if s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0 {
		s = "'" + s
	}
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

// appendString appends a JSON string. Invalid UTF-8 becomes U+FFFD.
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
