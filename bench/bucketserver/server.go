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

// Options configure a Server.
type Options struct {
	// Keys are the objects of the bucket.
	Keys *Keys
	// Bucket is the name of the bucket (default "bench-bucket").
	Bucket string
	// AccessKey is the only accepted access key id. If empty, all requests are accepted,
	// even unsigned ones. Signatures are never checked.
	AccessKey string
	// Latency is the delay of each S3 response.
	Latency time.Duration
	// Rate is the maximum number of S3 requests per second; above it the server returns
	// 503 SlowDown (0 = unlimited).
	Rate float64
	// PageSize is the maximum number of keys per page (default 1000).
	PageSize int
	// Fault, if not nil, returns the faults of list requests.
	Fault FaultFunc
}

// Counts are the counters of a server.
type Counts struct {
	// Requests counts all S3 requests, Lists the object lists among them.
	Requests uint64 `json:"requests"`
	Lists    uint64 `json:"lists"`
	// Keys counts the objects sent in lists, each time that they are listed.
	Keys uint64 `json:"keys"`
	// Throttled counts the requests rejected by Rate, Faults those with a fault.
	Throttled uint64 `json:"throttled"`
	Faults    uint64 `json:"faults"`
	// Peak is the maximum number of concurrent requests.
	Peak int64 `json:"peak"`
}

// Server serves one computed bucket over the S3 API, path style. It is an http.Handler
// that is safe for concurrent use.
//
// GET /-/counts returns the Counts as JSON.
type Server struct {
	opts  Options
	over  overlay
	limit *rate.Limiter
	pages sync.Pool

	requests, lists, keys, throttled, faults atomic.Uint64
	inFlight, peak                           atomic.Int64

	http *http.Server
}

// New returns a server. Call Start to listen on an address.
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

// Bucket returns the name of the bucket.
func (s *Server) Bucket() string { return s.opts.Bucket }

// Counts returns the counters of the server.
func (s *Server) Counts() Counts {
	return Counts{
		Requests: s.requests.Load(), Lists: s.lists.Load(), Keys: s.keys.Load(),
		Throttled: s.throttled.Load(), Faults: s.faults.Load(), Peak: s.peak.Load(),
	}
}

// Start listens on addr, serves until Close and returns the URL of the server. It may be
// called once.
func (s *Server) Start(addr string) (string, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("bucket server: %w", err)
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(ln) }()
	return "http://" + ln.Addr().String(), nil
}

// Close stops a started server and aborts its requests.
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

// wait waits for the latency. It returns false if the client disconnects.
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

// s3Error is an S3 error response.
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

// resetConnection writes some bytes and resets the connection, like a dying server.
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
