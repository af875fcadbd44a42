package bucketserver

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const xmlDecl = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func (s *Server) serveBuckets(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		writeError(w, r, notImplemented(r))
		return
	}
	writeXML(w, xmlDecl+`<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>bench</ID></Owner><Buckets><Bucket><Name>`+
		s.opts.Bucket+`</Name><CreationDate>2023-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>`)
}

func writeXML(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, body)
}

func notImplemented(r *http.Request) *s3Error {
	return &s3Error{http.StatusNotImplemented, "NotImplemented", fmt.Sprintf("%s %s?%s is not implemented", r.Method, r.URL.Path, r.URL.RawQuery)}
}

func (s *Server) serveBucket(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch r.Method {
	case http.MethodHead:
		w.Header().Set("X-Amz-Bucket-Region", "us-east-1")
	case http.MethodPut:
		writeError(w, r, &s3Error{http.StatusConflict, "BucketAlreadyOwnedByYou", "The bucket already exists"})
	case http.MethodPost:
		if !q.Has("delete") {
			writeError(w, r, notImplemented(r))
			return
		}
		s.deleteBatch(w, r)
	case http.MethodGet:
		switch {
		case q.Has("location"):
			writeXML(w, xmlDecl+`<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`)
		case q.Has("versioning"):
			writeXML(w, xmlDecl+`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></VersioningConfiguration>`)
		case q.Has("versions"), q.Has("uploads"), q.Has("policy"), q.Has("acl"), q.Has("object-lock"), q.Has("tagging"):
			writeError(w, r, notImplemented(r))
		default:
			s.serveList(w, r)
		}
	default:
		writeError(w, r, notImplemented(r))
	}
}

func (s *Server) serveList(w http.ResponseWriter, r *http.Request) {
	number := s.lists.Add(1) - 1
	l, err := parseList(r.URL.Query(), s.opts.PageSize)
	if err != nil {
		writeError(w, r, &s3Error{http.StatusBadRequest, "InvalidArgument", err.Error()})
		return
	}
	fault := None
	if s.opts.Fault != nil {
		fault = s.opts.Fault(ListRequest{N: number, Prefix: string(l.prefix), From: string(l.start), MaxKeys: l.maxKeys})
	}
	if fault != None {
		s.faults.Add(1)
	}
	switch fault {
	case SlowDown:
		writeError(w, r, errSlowDown)
		return
	case ServerError:
		writeError(w, r, errInternal)
		return
	case Stall:
		<-r.Context().Done()
		return
	case Empty:
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("Content-Length", "0")
		return
	case Repeated:
		l.start = l.prefix
	}

	p := s.pages.Get().(*page)
	defer s.pages.Put(p)
	s.over.mu.RLock()
	p.fill(l, &walker{cur: cursor{keys: s.opts.Keys}, over: &s.over})
	s.over.mu.RUnlock()
	if fault == NoToken {
		p.more = true
	}
	if fault == Unsorted {
		p.swapEnds()
	}
	p.renderHead(l, s.opts.Bucket, fault != NoToken)
	s.keys.Add(uint64(len(p.offsets)))
	s.send(w, p, fault)
}

// send writes a page with a Content-Length, so that it is not chunked.
func (s *Server) send(w http.ResponseWriter, p *page, fault Fault) {
	p.body = append(p.body, p.prefixes...)
	p.body = append(p.body, xmlTail...)
	size := len(p.head) + len(p.body)
	switch fault {
	case Truncated:
		p.body = p.body[:len(p.body)/2]
		size = len(p.head) + len(p.body)
	case Reset:
		head := "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n"
		resetConnection(w, append(append([]byte(head), p.head...), p.body[:len(p.body)/2]...))
		return
	}
	w.Header()["Content-Type"] = xmlType
	w.Header().Set("Content-Length", strconv.Itoa(size))
	_, _ = w.Write(p.head)
	_, _ = w.Write(p.body)
}

var xmlType = []string{"application/xml"}

// deleteBatch serves DeleteObjects, with the ETag of a key as a condition.
func (s *Server) deleteBatch(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Objects []struct{ Key, ETag string } `xml:"Object"`
		Quiet   bool
	}
	if err := xml.NewDecoder(io.LimitReader(r.Body, 4<<20)).Decode(&req); err != nil {
		writeError(w, r, &s3Error{http.StatusBadRequest, "MalformedXML", err.Error()})
		return
	}
	b := []byte(xmlDecl + `<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for _, o := range req.Objects {
		switch {
		case !s.over.remove(s.opts.Keys, o.Key, ifMatch(o.ETag)):
			b = append(b, "<Error>"...)
			b = appendElement(b, "Key", o.Key, false)
			b = appendElement(b, "Code", errMismatch.code, false)
			b = appendElement(b, "Message", errMismatch.message, false)
			b = append(b, "</Error>"...)
		case !req.Quiet:
			b = append(b, "<Deleted>"...)
			b = appendElement(b, "Key", o.Key, false)
			b = append(b, "</Deleted>"...)
		}
	}
	writeXML(w, string(append(b, "</DeleteResult>"...)))
}
