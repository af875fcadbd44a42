package bucketserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Options says what a Server serves and how well.
type Options struct {
	// Keys are the objects of the bucket.
	Keys *Keys
	// Bucket is the bucket's name; "bench-bucket" when empty.
	Bucket string
	// AccessKey is the only access key id that is let in; empty lets all in, also
	// unsigned requests. Signatures are never checked.
	AccessKey string
	// Latency is how long the answer to each S3 request is held back.
	Latency time.Duration
	// Rate is how many S3 requests a second are served before 503 SlowDown; 0 is no limit.
	Rate float64
	// PageSize is the most keys of a page; 1000 when 0.
	PageSize int
	// Fault, when not nil, makes list requests fail.
	Fault FaultFunc
}

// Counts is what a server has done so far.
type Counts struct {
	// Requests are all S3 requests, Lists those that list objects.
	Requests uint64 `json:"requests"`
	Lists    uint64 `json:"lists"`
	// Keys are the objects sent in lists: more than there are when some are listed
	// again.
	Keys uint64 `json:"keys"`
	// Throttled are the requests refused for Rate, Faults those that Fault spoiled.
	Throttled uint64 `json:"throttled"`
	Faults    uint64 `json:"faults"`
	// Peak is the most requests that were under way at once.
	Peak int64 `json:"peak"`
}

// Server answers the S3 API, path style, for one computed bucket. It is an
// http.Handler that is safe for concurrent use.
//
// Beside the S3 API, GET /-/counts answers the Counts as JSON.
type Server struct {
	opts  Options
	over  overlay
	limit *rate.Limiter
	pages sync.Pool

	requests, lists, keys, throttled, faults atomic.Uint64
	inFlight, peak                           atomic.Int64

	http *http.Server
}

// New makes a server. Start serves it on an address of its own.
func New(opts Options) *Server {
	if opts.Bucket == "" {
		opts.Bucket = "bench-bucket"
	}
	if opts.PageSize == 0 {
		opts.PageSize = 1000
	}
	s := &Server{opts: opts}
	if opts.Rate > 0 {
		s.limit = rate.NewLimiter(rate.Limit(opts.Rate), max(1, int(opts.Rate/10)))
	}
	s.pages.New = func() any { return new(page) }
	return s
}

// Bucket is the name of the bucket.
func (s *Server) Bucket() string { return s.opts.Bucket }

// Counts is what the server has done so far.
func (s *Server) Counts() Counts {
	return Counts{
		Requests: s.requests.Load(), Lists: s.lists.Load(), Keys: s.keys.Load(),
		Throttled: s.throttled.Load(), Faults: s.faults.Load(), Peak: s.peak.Load(),
	}
}

// Start listens on addr and serves until Close. It answers the URL to reach the
// server by. It may be called once.
func (s *Server) Start(addr string) (string, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("bucket server: %w", err)
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(ln) }()
	return "http://" + ln.Addr().String(), nil
}

// Close stops what Start started; requests under way are cut off.
func (s *Server) Close() error {
	if s.http == nil {
		return nil
	}
	return s.http.Close()
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/-/counts" {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.Counts())
		return
	}
	s.requests.Add(1)
	now := s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	for peak := s.peak.Load(); now > peak && !s.peak.CompareAndSwap(peak, now); peak = s.peak.Load() {
	}
	if s.limit != nil && !s.limit.Allow() {
		s.throttled.Add(1)
		writeError(w, r, errSlowDown)
		return
	}
	if !s.wait(r.Context()) {
		return
	}
	if e := s.authorize(r); e != nil {
		writeError(w, r, e)
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case bucket == "":
		s.serveBuckets(w, r)
	case bucket != s.opts.Bucket:
		writeError(w, r, &s3Error{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"})
	case key == "":
		s.serveBucket(w, r)
	default:
		s.serveObject(w, r, key)
	}
}

// wait holds the answer back for the latency; false when the client went away.
func (s *Server) wait(ctx context.Context) bool {
	if s.opts.Latency <= 0 {
		return true
	}
	t := time.NewTimer(s.opts.Latency)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) authorize(r *http.Request) *s3Error {
	if s.opts.AccessKey == "" {
		return nil
	}
	_, credential, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		return &s3Error{http.StatusForbidden, "AccessDenied", "Access Denied"}
	}
	if id, _, _ := strings.Cut(credential, "/"); id != s.opts.AccessKey {
		return &s3Error{http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
	}
	return nil
}

// s3Error is an answer that is no success.
type s3Error struct {
	status        int
	code, message string
}

var (
	errSlowDown = &s3Error{http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."}
	errInternal = &s3Error{http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."}
	errNoKey    = &s3Error{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	errMismatch = &s3Error{http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
)

func writeError(w http.ResponseWriter, r *http.Request, e *s3Error) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.status)
	if r.Method == http.MethodHead {
		return
	}
	b := append([]byte(nil), `<?xml version="1.0" encoding="UTF-8"?>`+"\n<Error>"...)
	b = appendElement(b, "Code", e.code, false)
	b = appendElement(b, "Message", e.message, false)
	b = appendElement(b, "Resource", r.URL.Path, false)
	b = append(b, "<RequestId>bench</RequestId></Error>"...)
	_, _ = w.Write(b)
}

// abort resets the connection: what a client sees when a server dies.
func resetConnection(w http.ResponseWriter, some []byte) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		if errors.Is(err, http.ErrNotSupported) { // HTTP/2: ends the stream
			panic(http.ErrAbortHandler)
		}
		return
	}
	_, _ = buf.Write(some)
	_ = buf.Flush()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
