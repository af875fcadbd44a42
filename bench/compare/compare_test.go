package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"firescan/bench/bucketserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Both readers list each range completely, for every layout and number of streams.
func TestReadersListAllKeys(t *testing.T) {
	for _, layout := range bucketserver.Layouts {
		const n = 4_321
		keys, err := bucketserver.NewKeys(layout, n)
		if err != nil {
			t.Fatal(err)
		}
		s := bucketserver.New(bucketserver.Options{Keys: keys, Bucket: bucketName, PageSize: 100})
		endpoint, err := s.Start("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{}
		client := &http.Client{Transport: transport}
		for how, read := range map[string]func(context.Context, keyRange) (uint64, error){
			"sdk": sdkReader(client, endpoint), "bytes": bytesReader(client, endpoint),
		} {
			for _, streams := range []int{1, 7, 64} {
				ranges, err := splitKeys(layout, n, streams)
				if err != nil {
					t.Fatal(err)
				}
				total := uint64(0)
				for _, r := range ranges {
					got, err := read(t.Context(), r)
					if err != nil || got != r.keys {
						t.Errorf("%s, %s: range after %q: %d keys of %d, %v", layout, how, r.after, got, r.keys, err)
					}
					total += got
				}
				if total != n {
					t.Errorf("%s, %s, %d streams: %d keys", layout, how, streams, total)
				}
			}
		}
		transport.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMeasure(t *testing.T) {
	var out lineCounter
	u, err := measure(t.Context(), []string{"sh", "-c", `i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; printf 'a\nb\nc\n'`}, nil, &out)
	if err != nil {
		t.Fatal(err)
	}
	if out.n != 3 || u.wall <= 0 || u.cpu() <= 0 || u.maxRSS < 100<<10 {
		t.Errorf("%d lines, %+v", out.n, u)
	}
	if _, err := measure(t.Context(), []string{"sh", "-c", "echo no such bucket >&2; exit 3"}, nil, &out); err == nil || !strings.Contains(err.Error(), "no such bucket") {
		t.Errorf("failing program: %v", err)
	}
}

func TestDaemon(t *testing.T) {
	output := filepath.Join(t.TempDir(), "out")
	d, err := startDaemon([]string{"sleep", "60"}, nil, output)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.failed(); err != nil {
		t.Error(err)
	}
	if _, _, err := processCPU(d.pid()); err != nil {
		t.Error(err)
	}
	if err := resetPeakRSS(d.pid()); err != nil {
		t.Error(err)
	}
	if peak, err := peakRSS(d.pid()); err != nil || peak == 0 {
		t.Errorf("peak %d, %v", peak, err)
	}
	d.stop()

	d, err = startDaemon([]string{"sh", "-c", "echo port is taken; exit 1"}, nil, output)
	if err != nil {
		t.Fatal(err)
	}
	defer d.stop()
	for d.failed() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := d.failed(); !strings.Contains(err.Error(), "port is taken") {
		t.Error(err)
	}
}

func TestParseProc(t *testing.T) {
	user, sys, err := parseStat("42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 250 75 0 0 20 0 5 0 1 1 1 1")
	if err != nil || user != 2500*time.Millisecond || sys != 750*time.Millisecond {
		t.Errorf("%v, %v, %v", user, sys, err)
	}
	if peak, err := parsePeak("Name:\tx\nVmHWM:\t   1234 kB\nVmRSS:\t 1 kB\n"); err != nil || peak != 1234<<10 {
		t.Errorf("%d, %v", peak, err)
	}
	if _, _, err := parseStat("42 (x)"); err == nil {
		t.Error("a short stat is accepted")
	}
	if _, err := parsePeak("Name:\tx\n"); err == nil {
		t.Error("a status without VmHWM is accepted")
	}
}

func TestQuantiles(t *testing.T) {
	var l latencies
	for i := range 1000 {
		l = append(l, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 0, 0.5: 500, 0.99: 990, 1: 999} {
		if got := l.quantile(q); got != want {
			t.Errorf("quantile %v = %d, want %d", q, got, want)
		}
	}
	if latencies(nil).quantile(0.5) != 0 {
		t.Error("quantile of an empty list is not 0")
	}
}

func TestOpenLoopMakesAllCallsAndStopsAtAnError(t *testing.T) {
	var calls [200]atomic.Int32
	times, err := openLoop(t.Context(), 2000, 100*time.Millisecond, func(_ context.Context, i int) error {
		calls[i].Add(1)
		return nil
	})
	if err != nil || len(times) != 200 || !slices.IsSorted(times) {
		t.Errorf("%d times, %v", len(times), err)
	}
	for i := range calls {
		if calls[i].Load() != 1 {
			t.Errorf("call %d made %d times", i, calls[i].Load())
		}
	}
	broken := errors.New("status 500")
	if _, err := openLoop(t.Context(), 2000, 100*time.Millisecond, func(_ context.Context, i int) error {
		if i == 20 {
			return broken
		}
		return nil
	}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// A stall counts in all calls that were due during it.
func TestOpenLoopMeasuresFromDueTime(t *testing.T) {
	release := make(chan struct{})
	var begun atomic.Int32
	times, err := openLoop(t.Context(), 5000, 200*time.Millisecond, func(context.Context, int) error {
		if begun.Add(1) == 900 {
			close(release)
		}
		// The waiting calls occupy all workers, so that call 900 is delayed.
		select {
		case <-release:
		case <-time.After(50 * time.Millisecond):
		}
		return nil
	})
	if err != nil || len(times) != 1000 {
		t.Fatalf("%d times, %v", len(times), err)
	}
	if worst := times.quantile(1); worst < 60*time.Millisecond {
		t.Errorf("the slowest call took %v, want at least 60ms: it waited for a worker and then 50ms", worst)
	}
}

func TestReplaceSection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := preamble
		want := map[string]string{}
		for i := range rapid.IntRange(1, 12).Draw(t, "writes") {
			s := section{rapid.SampledFrom([]string{"list flat 0s", "big scan", "import"}).Draw(t, "name"), fmt.Sprintf("## Text %d\n", i)}
			text = replaceSection(text, s)
			want[s.name] = s.text
		}
		if !strings.HasPrefix(text, preamble) {
			t.Fatalf("no preamble:\n%s", text)
		}
		if got := strings.Count(text, "## Text"); got != len(want) {
			t.Fatalf("%d sections, want %d:\n%s", got, len(want), text)
		}
		for name, section := range want {
			if !strings.Contains(text, "<!-- begin "+name+" -->\n"+section+"<!-- end "+name+" -->\n") {
				t.Fatalf("no section %s:\n%s", name, text)
			}
		}
	})
}

func TestReportWritesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	for range 2 {
		r := new(report)
		r.add("list flat 0s", "A title", scanTable([]row{
			{who: "one", usage: usage{wall: 2 * time.Second, user: time.Second, maxRSS: 50 << 20}, keys: 1_000_000, requests: 1000, command: "one ls"},
		}), "A note.")
		r.add("queries", "Queries", queryTable([]queryRow{{name: "stats", times: latencies{1, 2, 3}, requests: 3}}))
		if err := r.write(path); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| one | 2s | 500,000 | 1s + 0s | 1.00 µs | 50 MiB | 1,000 | 0s |", "one ls", "A note.", "| stats |", "cores"} {
		if strings.Count(string(text), want) < 1 {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if n := strings.Count(string(text), "## A title"); n != 1 {
		t.Errorf("the section occurs %d times", n)
	}
}

func TestParseFlags(t *testing.T) {
	c, err := parse([]string{"-only", "firescan,mc", "-latency", "0s,50ms", "-layouts", "tree", "-scenarios", "import"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.only, list{"firescan", "mc"}) || len(c.latency) != 2 || c.latency[1] != 50*time.Millisecond {
		t.Errorf("%+v", c)
	}
	for _, args := range [][]string{{"-only", "ls"}, {"-layouts", "round"}, {"-scenarios", "all"}, {"-latency", "fast"}, {"extra"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
