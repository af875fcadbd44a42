package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/time/rate"

	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// A segmentNode is a node that only copies segments.
type segmentNode struct {
	*HTTPPeers
	index *index.Store
	id    string
	dir   string // of the index
	// between comes before what hands segments out.
	mu      sync.Mutex
	between func(http.ResponseWriter, *http.Request, http.Handler)
	served  []*http.Request
}

// newPair returns two nodes of one cluster.
func newPair(t *testing.T) (from, to *segmentNode) {
	t.Helper()
	var pair [2]*segmentNode
	servers := nodeServers{}
	for i := range pair {
		s := &segmentNode{id: fmt.Sprint("n", i+1), dir: t.TempDir()}
		registry := prometheus.NewRegistry()
		store, err := index.Open(s.dir, index.Options{Logger: slog.New(slog.DiscardHandler), Registerer: registry})
		if err != nil {
			t.Fatal(err)
		}
		s.index = store
		s.HTTPPeers = NewHTTPPeers(HTTPConfig{Index: store, Client: &http.Client{Transport: servers}, Registerer: registry})
		mux := http.NewServeMux()
		s.Register(func(pattern string, h http.Handler) {
			if pattern == segmentPattern {
				h = http.HandlerFunc(s.hand)
			}
			mux.Handle(pattern, h)
		})
		server := httptest.NewUnstartedServer(mux)
		server.EnableHTTP2 = true
		server.StartTLS()
		servers[s.id] = server
		t.Cleanup(func() {
			server.Close()
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		pair[i] = s
	}
	return pair[0], pair[1]
}

// nodeServers sends requests to the server of the node that their URL names.
type nodeServers map[string]*httptest.Server

func (n nodeServers) RoundTrip(r *http.Request) (*http.Response, error) {
	server := n[r.URL.Host]
	if server == nil {
		return nil, fmt.Errorf("no node %s", r.URL.Host)
	}
	r = r.Clone(r.Context())
	r.URL.Host = server.Listener.Addr().String()
	return server.Client().Transport.RoundTrip(r)
}

func (s *segmentNode) hand(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	between := s.between
	s.served = append(s.served, r.Clone(context.Background()))
	s.mu.Unlock()
	if between != nil {
		between(w, r, http.HandlerFunc(s.serveSegment))
		return
	}
	s.serveSegment(w, r)
}

func (s *segmentNode) set(between func(http.ResponseWriter, *http.Request, http.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.between, s.served = between, nil
}

func (s *segmentNode) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.served)
}

// seal makes a segment of so many files.
func (s *segmentNode) seal(t *testing.T, id string, files int) *pb.Segment {
	t.Helper()
	w, err := s.index.NewSegment(destID, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range files {
		e := index.Entry{Path: fmt.Appendf(nil, "%08d/%016x", i, rnd.Uint64()), Size: rnd.Int64N(1 << 40), ModTime: rnd.Int64N(1 << 40), Digest: rnd.Uint64()}
		if err := w.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Seal(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &pb.Segment{Id: id, Checksum: info.Checksum, FileSize: uint64(info.FileSize), Node: s.id}
}

func (s *segmentNode) file(segment string) string {
	return filepath.Join(s.dir, destID, segment+".seg")
}

// outcomes returns the copies that the node has counted, by outcome.
func (s *segmentNode) outcomes() string {
	var all []string
	for _, o := range []string{fetchCopied, fetchAbsent, fetchDamaged, fetchFailed} {
		all = append(all, fmt.Sprint(testutil.ToFloat64(s.fetches.WithLabelValues(o))))
	}
	return strings.Join(all, " ")
}

// cutting sends some bytes of a response and then closes the connection.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if len(p) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

// TestSegmentCopies copies segments between two nodes over HTTP.
func TestSegmentCopies(t *testing.T) {
	from, to := newPair(t)
	for name, test := range map[string]func(t *testing.T, from, to *segmentNode){
		"whole or in parts": testShipped, "unreadable": testUnreadable, "asked for many": testHeld, "bandwidth": testBandwidth,
	} {
		t.Run(name, func(t *testing.T) {
			to.fetches.Reset()
			test(t, from, to)
		})
	}
}

// Segments come whole or in parts, and nothing but what was asked for gets in.
func testShipped(t *testing.T, from, to *segmentNode) {
	t.Helper()
	fetch := func(s *pb.Segment) error { return to.Fetch(t.Context(), from.id, destID, s) }

	copied := testutil.ToFloat64(to.copied)
	whole := from.seal(t, "seg_whole", 20_000)
	if err := fetch(whole); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(from.file(whole.Id))
	if err != nil {
		t.Fatal(err)
	}
	intact := a
	if b, err := os.ReadFile(to.file(whole.Id)); err != nil || !bytes.Equal(a, b) || len(a) < 3*copyBlock {
		t.Errorf("%d bytes were copied, %d came: %v", len(a), len(b), err)
	}
	if n := testutil.ToFloat64(to.copied) - copied; n != float64(len(a)) {
		t.Errorf("%v bytes are counted of %d", n, len(a))
	}
	if err := fetch(&pb.Segment{Id: "seg_none"}); !errors.Is(err, ErrNoSegment) {
		t.Errorf("a segment that is not there: %v", err)
	}
	if got := to.outcomes(); got != "1 1 0 0" {
		t.Errorf("counted %s", got)
	}

	// A connection that breaks costs no more than what did not arrive.
	broken := from.seal(t, "seg_broken", 20_000)
	from.set(func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		h.ServeHTTP(&cutting{w, 2 * copyBlock}, r)
	})
	if err := fetch(broken); err == nil || errors.Is(err, ErrNoSegment) || errors.As(err, new(*index.CorruptError)) {
		t.Fatalf("a connection that breaks: %v", err)
	}
	from.set(nil)
	before := testutil.ToFloat64(to.copied)
	if err := fetch(broken); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(to.copied) - before; n <= 0 || n > float64(broken.FileSize)-copyBlock {
		t.Errorf("after a connection broke, %v bytes were copied of %d", n, broken.FileSize)
	}
	if q := from.asked(); len(q) != 1 || q[0].Header.Get("Range") == "" || q[0].Header.Get("If-Range") == "" {
		t.Errorf("asked %d times, with %v", len(q), q[0].Header)
	}

	// Meanwhile a delta has changed the file: the copy starts again.
	changed := from.seal(t, "seg_changed", 20_000)
	from.set(func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		h.ServeHTTP(&cutting{w, 2 * copyBlock}, r)
	})
	if err := fetch(changed); err == nil {
		t.Fatal("a connection that breaks is no error")
	}
	from.set(nil)
	m := index.Manifest{Generation: "gen", Segments: []index.SegmentRef{{ID: changed.Id, Checksum: changed.Checksum}}}
	if err := from.index.Promote(destID, m); err != nil {
		t.Fatal(err)
	}
	look := func([]byte) (index.Class, error) { return index.Class{Type: index.Backup, Linked: true}, nil }
	if err := from.index.ApplyChanges(destID, "gen", []index.Change{{Index: 9, Prefixes: [][]byte{[]byte("000001")}}}, look, nil); err != nil {
		t.Fatal(err)
	}
	if err := fetch(changed); err != nil {
		t.Fatal(err)
	}
	if a, err = os.ReadFile(from.file(changed.Id)); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(to.file(changed.Id)); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the changed file did not come: %v", err)
	}

	// What is whole and another segment, or the same one of another generation, is
	// refused.
	other := from.seal(t, "seg_other", 100)
	other.Checksum++
	if err := fetch(other); !errors.As(err, new(*index.CorruptError)) {
		t.Errorf("another seal: %v", err)
	}
	from.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("ETag", `"whatever"`)
		http.ServeContent(w, &http.Request{Method: http.MethodGet}, "", time.Time{}, bytes.NewReader(intact))
	})
	other.Checksum--
	if err := fetch(other); !errors.As(err, new(*index.CorruptError)) {
		t.Errorf("another segment: %v", err)
	}
	for tag, header := range map[string]string{"none": "", "a path": `"../../x"`} {
		from.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("ETag", header)
			_, _ = w.Write(a)
		})
		if err := fetch(other); err == nil {
			t.Errorf("a tag that is %s is taken", tag)
		}
	}
	from.set(nil)
	if err := fetch(other); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(to.dir, destID, "*.part")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A damaged segment counts as one that is not there, and one that cannot be read now does
// not.
func testUnreadable(t *testing.T, from, to *segmentNode) {
	t.Helper()
	rotten := from.seal(t, "seg_rotten", 1000)
	data, err := os.ReadFile(from.file(rotten.Id))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(from.file(rotten.Id), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := to.Fetch(t.Context(), from.id, destID, rotten); !errors.Is(err, ErrNoSegment) {
		t.Errorf("a damaged segment: %v", err)
	}
	if held, err := to.Held(t.Context(), from.id, destID, []string{rotten.Id}); err != nil || held[0] {
		t.Errorf("a damaged segment is held: %v %v", held, err)
	}
	if err := os.Mkdir(from.file("seg_strange"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := to.Fetch(t.Context(), from.id, destID, &pb.Segment{Id: "seg_strange"}); err == nil || errors.Is(err, ErrNoSegment) {
		t.Errorf("what cannot be read: %v", err)
	}
	if got := to.outcomes(); got != "0 1 0 1" {
		t.Errorf("counted %s", got)
	}
	for what, err := range map[string]error{
		"a node that is not there":  to.Fetch(t.Context(), "n7", destID, rotten),
		"a destination like a path": to.Fetch(t.Context(), from.id, "..", rotten),
	} {
		if err == nil || errors.Is(err, ErrNoSegment) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := to.Fetch(ended, from.id, destID, rotten); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A node is asked for many segments at once.
func testHeld(t *testing.T, from, to *segmentNode) {
	t.Helper()
	from.seal(t, "seg_here", 10)
	ids := make([]string, 2*heldAtOnce+1)
	for i := range ids {
		ids[i] = fmt.Sprintf("seg_%026d_%026d", i, i)
	}
	ids[heldAtOnce] = "seg_here"
	held, err := to.Held(t.Context(), from.id, destID, ids)
	if err != nil || len(held) != len(ids) {
		t.Fatalf("%d results: %v", len(held), err)
	}
	for i, h := range held {
		if h != (i == heldAtOnce) {
			t.Errorf("%d: %v", i, h)
		}
	}
	if held, err := to.Held(t.Context(), from.id, destID, nil); err != nil || len(held) != 0 {
		t.Error(held, err)
	}
	if _, err := to.Held(t.Context(), "n7", destID, ids); err == nil {
		t.Error("an unknown node responded")
	}
}

// Copied bytes count against the bandwidth, and the rest waits.
func testBandwidth(t *testing.T, from, to *segmentNode) {
	t.Helper()
	first, second := from.seal(t, "seg_1", 1000), from.seal(t, "seg_2", 1000)
	// A bucket that is as good as never filled again.
	to.bandwidth = rate.NewLimiter(1e-9, copyBlock)
	if err := to.Fetch(t.Context(), from.id, destID, first); err != nil {
		t.Fatal(err)
	}
	if left := to.bandwidth.Tokens(); int(left) != copyBlock-int(first.FileSize) {
		t.Errorf("%v bytes are left of %d after %d", left, copyBlock, first.FileSize)
	}
	to.bandwidth.ReserveN(time.Now(), copyBlock-int(first.FileSize))
	limited, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := to.Fetch(limited, from.id, destID, second); err == nil {
		t.Error("it was copied all the same")
	}
	to.bandwidth = nil
	if err := to.Fetch(t.Context(), from.id, destID, second); err != nil {
		t.Error(err)
	}
	if r := NewHTTPPeers(HTTPConfig{Bandwidth: 5 << 20, Registerer: prometheus.NewRegistry()}); r.bandwidth.Burst() != 5<<20 || r.bandwidth.Limit() != 5<<20 {
		t.Error("the flag sets another bandwidth")
	}
}
