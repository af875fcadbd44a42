package bucketserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// maxPut is the size limit of puts, which are for small objects such as probes.
const maxPut = 8 << 20

func (s *Server) serveObject(w http.ResponseWriter, r *http.Request, key string) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.getObject(w, r, key)
	case http.MethodPut:
		s.putObject(w, r, key)
	case http.MethodDelete:
		if !s.over.remove(s.opts.Keys, key, ifMatch(r.Header.Get("If-Match"))) {
			writeError(w, r, errMismatch)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		writeError(w, r, notImplemented(r))
	}
}

func (s *Server) getObject(w http.ResponseWriter, r *http.Request, key string) {
	var o Object
	s.over.mu.RLock()
	body, ok := s.over.get(s.opts.Keys, key, &o)
	s.over.mu.RUnlock()
	if !ok {
		writeError(w, r, errNoKey)
		return
	}
	var content io.ReadSeeker = &computed{seed: xxhash.Sum64(o.Key), size: o.Size}
	if body != nil {
		content = bytes.NewReader(body)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", quoteTag(&o.ETag))
	http.ServeContent(w, r, "", time.Unix(o.ModTime, 0), content)
}

func (s *Server) putObject(w http.ResponseWriter, r *http.Request, key string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPut))
	if err != nil {
		writeError(w, r, &s3Error{http.StatusBadRequest, "EntityTooLarge", fmt.Sprintf("the maximum object size is %d bytes", maxPut)})
		return
	}
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		if body, err = unchunk(body); err != nil {
			writeError(w, r, &s3Error{http.StatusBadRequest, "IncompleteBody", err.Error()})
			return
		}
	}
	tag := s.over.put(s.opts.Keys, key, body)
	w.Header().Set("ETag", quoteTag(&tag))
}

func quoteTag(tag *[16]byte) string { return string(append(appendTag([]byte{'"'}, tag), '"')) }

// ifMatch returns the condition of a delete: the object must have the ETag, unless tag is
// empty.
func ifMatch(tag string) func(*Object) bool {
	tag = strings.Trim(tag, `"`)
	return func(o *Object) bool {
		return tag == "" || tag == "*" || tag == string(appendTag(nil, &o.ETag))
	}
}

// unchunk removes the aws-chunked framing of a body: chunks of "size[;signature]" lines,
// and trailers after the last one.
func unchunk(framed []byte) ([]byte, error) {
	body := []byte{} // nil would mean a computed object
	for {
		line, rest, ok := bytes.Cut(framed, []byte("\r\n"))
		if !ok {
			return nil, errors.New("aws-chunked body: chunk without a size")
		}
		var size int
		hexSize, _, _ := bytes.Cut(line, []byte(";"))
		if _, err := fmt.Sscanf(string(hexSize), "%x", &size); err != nil || size < 0 || size > len(rest) {
			return nil, fmt.Errorf("aws-chunked body: chunk of size %q in %d bytes", hexSize, len(rest))
		}
		if size == 0 {
			return body, nil
		}
		body = append(body, rest[:size]...)
		framed = bytes.TrimPrefix(rest[size:], []byte("\r\n"))
	}
}

// computed is the content of a computed object: size bytes derived from seed.
type computed struct {
	seed      uint64
	size, off int64
}

// Read implements io.Reader.
func (c *computed) Read(b []byte) (int, error) {
	if c.off >= c.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), c.size-c.off)]
	for n := 0; n < len(b); {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], mix(c.seed+uint64(c.off/8)))
		m := copy(b[n:], word[c.off%8:])
		n += m
		c.off += int64(m)
	}
	return len(b), nil
}

// Seek implements io.Seeker.
func (c *computed) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.off
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("seek: negative offset")
	}
	c.off = offset
	return offset, nil
}
