package main

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

const scraped = `# HELP firescan_cluster_members Members of the group.
# TYPE firescan_cluster_members gauge
firescan_cluster_members{state="alive",vote="voter"} 3
firescan_cluster_members{state="dead",vote="voter"} 1
firescan_cluster_members{state="alive",vote="nonvoter"} 2
firescan_replica_bytes_total 1.5e+06
firescan_replica_bytes_total_more 7
firescan_destination_replicas{destination="storage_1",organization="org_bench"} 2
firescan_destination_replicas_wanted{destination="storage_1",organization="org_bench"} 3
broken
`

func TestMetricsAreSummedByNameAndLabels(t *testing.T) {
	for _, c := range []struct {
		name   string
		labels []string
		sum    float64
		found  bool
	}{
		{"firescan_cluster_members", nil, 6, true},
		{"firescan_cluster_members", []string{`vote="voter"`}, 4, true},
		{"firescan_cluster_members", []string{`vote="voter"`, `state="alive"`}, 3, true},
		{"firescan_cluster_members", []string{`vote="vote"`}, 0, false},
		{"firescan_replica_bytes_total", nil, 1_500_000, true},
		{"firescan_replica_bytes_total", []string{`a="b"`}, 0, false},
		{"firescan_destination_replicas", []string{`destination="storage_1"`}, 2, true},
		{"firescan_destination_replicas", []string{`destination="storage_2"`}, 0, false},
		{"firescan", nil, 0, false},
		{"broken", nil, 0, false},
	} {
		if sum, found := metrics(scraped).sum(c.name, c.labels...); sum != c.sum || found != c.found {
			t.Errorf("%s %v: %v, %v", c.name, c.labels, sum, found)
		}
	}
}

func TestNodeMetrics(t *testing.T) {
	var down atomic.Bool
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			t.Errorf("unexpected request: %s", r.URL.Path)
		}
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(scraped))
	}))
	defer ts.Close()
	defer http.DefaultClient.CloseIdleConnections()
	n := &node{id: "n1", url: ts.URL}
	if m, err := n.metrics(t.Context()); err != nil || string(m) != scraped {
		t.Errorf("%q, %v", m, err)
	}
	g := &cluster{nodes: []*node{n, n}}
	if copied, err := g.copied(t.Context()); err != nil || !slices.Equal(copied, []uint64{1_500_000, 1_500_000}) {
		t.Errorf("%v, %v", copied, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if leader, err := g.leader(ctx); err == nil {
		t.Errorf("node %s is reported as leader, but no node is", leader.id)
	}
	down.Store(true)
	if _, err := n.metrics(t.Context()); err == nil {
		t.Error("metrics of a node that returns 503: no error")
	}
}

// countingServer is a bucket server whose counters grow with each request, up to end.
func countingServer(t *testing.T, end uint64) *server {
	t.Helper()
	var looks atomic.Uint64
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := min(looks.Add(1), end)
		_ = json.NewEncoder(w).Encode(bucketserver.Counts{Requests: n + 2, Lists: n, Keys: 1000 * n})
	}))
	t.Cleanup(ts.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{endpoint: ts.URL, daemon: &daemon{}}
	s.daemon.cmd = &exec.Cmd{Process: self}
	return s
}

func TestServerPolling(t *testing.T) {
	s := countingServer(t, 5)
	if err := s.waitKeysSent(t.Context(), 3000); err != nil {
		t.Fatal(err)
	}
	counters, err := s.counters(t.Context())
	if err != nil || counters.keys != 4000 || counters.lists != 4 || counters.requests != 6 {
		t.Errorf("%+v, %v", counters, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	before := time.Now()
	if last := s.watchLastList(ctx); last.Before(before) || time.Since(last) < 100*time.Millisecond {
		t.Errorf("last list at %v, watched from %v to %v", last, before, time.Now())
	}
	soon, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if err := s.waitKeysSent(soon, 6000); err == nil || !strings.Contains(err.Error(), ": 5000 sent") {
		t.Errorf("waiting for more keys than exist: %v", err)
	}
}

func TestSegmentBytesCountsEachSegmentOfASyncOnce(t *testing.T) {
	dir := t.TempDir()
	if _, err := segmentBytes(dir, "sync_01abc"); err == nil {
		t.Error("no segment: no error")
	}
	for name, size := range map[string]int{
		"n1/seg_01abc_1.seg": 100, "n2/seg_01abc_1.seg": 100, "n3/seg_01abc_2.seg": 20, "n3/seg_01abd_1.seg": 3, "n1/seg_01abc_3.part": 1,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if size, err := segmentBytes(dir, "sync_01abc"); err != nil || size != 120 {
		t.Errorf("%d, %v", size, err)
	}
}

func TestBound(t *testing.T) {
	for _, c := range []struct {
		pages   uint64
		streams int
		want    time.Duration
	}{{1000, 8, 125 * time.Second}, {1000, 24, 42 * time.Second}, {1000, 40, 25 * time.Second}, {1, 8, time.Second}, {0, 8, 0}} {
		if got := bound(c.pages, c.streams, time.Second); got != c.want {
			t.Errorf("%d pages on %d streams: %v", c.pages, c.streams, got)
		}
	}
}

func TestScaleTable(t *testing.T) {
	scan := func(layout bucketserver.Layout, nodes int, which string, wall time.Duration) clusterScan {
		return clusterScan{
			layout: layout, nodes: nodes, which: which, files: 1000, wall: wall, listing: wall / 2, lists: 1100,
			cpu: wall, server: wall / 2, copied: make([]uint64, nodes), index: 1 << 20, whole: -time.Millisecond,
		}
	}
	scans := []clusterScan{
		scan("flat", 1, "first", 6*time.Second), scan("flat", 1, "second", 5*time.Second),
		scan("flat", 3, "first", 3*time.Second), scan("flat", 3, "second", 2*time.Second),
		scan("tree", 3, "first", time.Second),
	}
	want := [][]string{
		{"flat", "first", "1", "3s", "6s", "1.00", "100 %", "1,100", "6s", "3s", "1.5"},
		{"flat", "first", "3", "1.5s", "3s", "2.00", "67 %", "1,100", "3s", "1.5s", "1.5"},
		{"flat", "second", "1", "2.5s", "5s", "1.00", "100 %", "1,100", "5s", "2.5s", "1.5"},
		{"flat", "second", "3", "1s", "2s", "2.50", "83 %", "1,100", "2s", "1s", "1.5"},
		{"tree", "first", "3", "500ms", "1s", "–", "–", "1,100", "1s", "500ms", "1.5"},
	}
	got := scaleTable(scans)
	for i, row := range want {
		if !slices.Equal(got.rows[i], row) {
			t.Errorf("row %d: %q, want %q", i, got.rows[i], row)
		}
	}
	if len(got.rows) != len(want) || len(got.head) != len(want[0]) {
		t.Errorf("%d rows of %d columns", len(got.rows), len(got.head))
	}
}

func TestTrafficTable(t *testing.T) {
	got := trafficTable([]clusterScan{
		{layout: "flat", nodes: 1, which: "first", files: 1000, index: 20 << 10, copied: []uint64{0}},
		{layout: "flat", nodes: 3, which: "first", files: 1000, index: 20 << 10, copied: []uint64{10 << 10, 20 << 10, 10 << 10}, whole: 10 * time.Millisecond},
		{layout: "flat", nodes: 3, which: "second", files: 1000, index: 20 << 10, copied: []uint64{0, 0, 20 << 10}, whole: 1500 * time.Millisecond},
	})
	want := [][]string{
		{"flat", "first", "3", "20 KiB", "40 KiB", "41.0", "2.00", "10 KiB to 20 KiB", "at the promotion"},
		{"flat", "second", "3", "20 KiB", "20 KiB", "20.5", "1.00", "0 KiB to 20 KiB", "1.5s later"},
	}
	if !slices.EqualFunc(got.rows, want, slices.Equal) || len(got.head) != len(want[0]) {
		t.Errorf("%q", got.rows)
	}
}

func TestFailoverTable(t *testing.T) {
	scans := []failoverScan{
		{killed: "nobody", took: 10 * time.Second, keys: 1010},
		{killed: "nobody", took: 12 * time.Second, keys: 1000},
		{killed: "nobody", took: 11 * time.Second, keys: 1020},
		{killed: "worker", took: 18 * time.Second, keys: 1110, writable: 20 * time.Millisecond},
		{killed: "worker", took: 15 * time.Second, keys: 1210, writable: 10 * time.Millisecond},
		{killed: "worker", took: 16 * time.Second, keys: 1010, writable: 15 * time.Millisecond},
	}
	want := [][]string{
		{"nobody", "3", "", "11s, 12s", "", "0.0 %, 1.0 %"},
		{"worker", "3", "15ms, 20ms", "16s, 18s", "5s, 7s", "10.0 %, 20.0 %"},
	}
	if got := failoverTable(1000, scans); !slices.EqualFunc(got.rows, want, slices.Equal) || len(got.head) != len(want[0]) {
		t.Errorf("%q", got.rows)
	}
}

func TestKillPoints(t *testing.T) {
	for _, n := range []int{1, 2, 5, 100} {
		last := 0.0
		for i := range n {
			at := killPoint(i, n)
			if at <= last || at < 0.15 || at > 0.75 {
				t.Errorf("kill %d of %d is at %v", i, n, at)
			}
			last = at
		}
	}
	if at := killPoint(0, 1); math.Abs(at-0.45) > 1e-9 {
		t.Errorf("a single kill is at %v", at)
	}
}

// TestWaitWritable checks that one node that accepts the write is enough.
func TestWaitWritable(t *testing.T) {
	noLeader := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"success":false,"error":{"code":"NO_LEADER"}}`))
	}
	var measured atomic.Int32
	without := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { noLeader(w) }))
	with := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method+" "+r.URL.Path != "PUT /api/v1/catalog/projects/proj_alive" {
			t.Errorf("unexpected request: %s %s", r.Method, r.URL.Path)
		}
		if measured.Add(1) < 4 {
			noLeader(w)
			return
		}
		_, _ = w.Write([]byte(`{"success":true,"data":{}}`))
	}))
	defer without.Close()
	defer with.Close()
	defer http.DefaultClient.CloseIdleConnections()
	nodes := []*node{{id: "n1", service: &api{base: without.URL}}, {id: "n2", service: &api{base: with.URL}}}
	if err := waitWritable(t.Context(), nodes); err != nil || measured.Load() != 4 {
		t.Errorf("%v, %d requests", err, measured.Load())
	}
}

// TestWaitWritableEnds checks that the error has the last response of the node.
func TestWaitWritableEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var refused atomic.Int32
	without := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refused.Add(1) > 3 { // the responses before this one have arrived
			stop()
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"success":false,"error":{"code":"NO_LEADER"}}`))
	}))
	defer without.Close()
	defer http.DefaultClient.CloseIdleConnections()
	err := waitWritable(ctx, []*node{{id: "n1", service: &api{base: without.URL}}})
	if err == nil || !strings.Contains(err.Error(), "NO_LEADER") {
		t.Errorf("got %v", err)
	}
}

func TestParseClusterFlags(t *testing.T) {
	c, err := parse([]string{"-cluster-sizes", "1,5", "-cluster-layouts", "tree", "-kills", "0"})
	if err != nil || !slices.Equal(c.sizes, counts{1, 5}) || c.sizes.String() != "1,5" || c.kills != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := parse([]string{"-cluster-sizes", ""}); err != nil || len(c.sizes) != 0 {
		t.Errorf("no sizes: %+v, %v", c, err)
	}
	for _, args := range [][]string{{"-cluster-sizes", "0"}, {"-cluster-sizes", "1,two"}, {"-cluster-layouts", "round"}, {"-kills", "-1"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
