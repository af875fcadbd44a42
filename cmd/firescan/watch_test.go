package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	apiclient "firescan/api/client"
)

// fakeSyncs is an API with one destination, whose sync ends after some requests for its
// record.
type fakeSyncs struct {
	events http.HandlerFunc // serves the stream of events
	polls  int32            // number of requests for the record that return runningSync
	last   string           // the final record
	onPoll func()

	polled atomic.Int32
}

const (
	runningSync   = `{"id":"sync_1","destinationId":"storage_1","status":"running","startedAt":"2024-01-15T10:00:00Z","finishedAt":null,"filesScanned":500,"bytesScanned":5000,"orphanFiles":5,"missingBackups":0,"filesPerSecond":250.5,"error":null}`
	completedSync = `{"id":"sync_1","destinationId":"storage_1","status":"completed","startedAt":"2024-01-15T10:00:00Z","finishedAt":"2024-01-15T10:00:04Z","filesScanned":1000,"bytesScanned":10240,"orphanFiles":10,"missingBackups":2,"filesPerSecond":250,"error":null}`
	failedSync    = `{"id":"sync_1","destinationId":"storage_1","status":"failed","startedAt":"2024-01-15T10:00:00Z","finishedAt":"2024-01-15T10:00:04Z","filesScanned":0,"bytesScanned":0,"orphanFiles":0,"missingBackups":0,"filesPerSecond":0,"error":"the bucket\nis <gone>"}`
)

func (f *fakeSyncs) start(t *testing.T) (addr string) {
	t.Helper()
	mux := http.NewServeMux()
	respond := func(pattern, data string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"success":true,"data":%s}`, data)
		})
	}
	respond("GET /api/v1/storage/destinations", `[{"id":"storage_1","name":"production"}]`)
	respond("POST /api/v1/storage/sync", `{"status":"syncing","organizationId":"acme","syncIds":["sync_1"]}`)
	mux.HandleFunc("GET /api/v1/storage/syncs/sync_1", func(w http.ResponseWriter, _ *http.Request) {
		if f.onPoll != nil {
			f.onPoll()
		}
		record := f.last
		if f.polled.Add(1) <= f.polls {
			record = runningSync
		}
		fmt.Fprintf(w, `{"success":true,"data":%s}`, record)
	})
	mux.HandleFunc("GET /api/v1/storage/events", f.events)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func noEvents(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, `{"success":false,"error":{"code":"INDEX_UNAVAILABLE","message":"not now"}}`)
}

// someEvents sends one progress event and stays open.
func someEvents(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "event: storage:sync-progress\ndata: "+
		`{"destinationId":"storage_1","syncId":"sync_1","status":"running","filesScanned":420,"percent":42,"filesPerSecond":210,"etaSeconds":3}`+"\n\n")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func watchArgs(addr string, more ...string) []string {
	return append([]string{"sync", "--watch", "--addr", addr, "--token", "t", "--org", "acme"}, more...)
}

func TestWatch(t *testing.T) {
	for name, c := range map[string]*struct {
		fake      fakeSyncs
		code      int
		out, errs string
	}{
		"events": {
			fakeSyncs{events: someEvents, polls: 1, last: completedSync},
			exitOK,
			"production: 1,000 files (10 KiB) in 4s, 10 orphans, 2 backups without a file\n", "production: 42% 420 files, 0 orphans, 210/s, 3s left\n",
		},
		"no events": {
			fakeSyncs{events: noEvents, polls: 1, last: completedSync},
			exitOK,
			"production: 1,000 files (10 KiB) in 4s, 10 orphans, 2 backups without a file\n", "production: 500 files, 5 orphans, 250/s\n",
		},
		"ended before the first poll": {fakeSyncs{events: noEvents, last: completedSync}, exitOK, "production: 1,000 files", ""},
		"failed": {
			fakeSyncs{events: noEvents, last: failedSync},
			exitFailed, "",
			"firescan: the sync of production did not complete: the bucket; is <gone>\n",
		},
		"cancelled": {
			fakeSyncs{events: noEvents, last: strings.Replace(completedSync, "completed", "cancelled", 1)},
			exitFailed, "",
			"firescan: the sync of production did not complete: cancelled\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, out, errs := testApp(nil)
			code := run(t.Context(), a, watchArgs(c.fake.start(t), "production"))
			if code != c.code || !strings.HasPrefix(out.String(), c.out) || errs.String() != c.errs {
				t.Errorf("exit code %d\nout: %serr: %swant %d\nout: %serr: %s", code, out, errs, c.code, c.out, c.errs)
			}
		})
	}
}

// With --json the raw records are printed in one document, also if a sync failed.
func TestWatchAsJSON(t *testing.T) {
	for record, want := range map[string]int{completedSync: exitOK, failedSync: exitFailed} {
		fake := fakeSyncs{events: noEvents, polls: 1, last: record}
		a, out, errs := testApp(nil)
		if code := run(t.Context(), a, watchArgs(fake.start(t), "--json")); code != want {
			t.Errorf("exit code %d, want %d: %s", code, want, errs)
		}
		if got, want := out.String(), `{"success":true,"data":{"syncs":[`+record+"]}}\n"; got != want {
			t.Errorf("printed %swant %s", got, want)
		}
		if !json.Valid(out.Bytes()) {
			t.Errorf("not JSON: %s", out)
		}
	}
}

// An interrupt of the watching reports that the sync continues, and how to cancel it.
func TestStopWatching(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	fake := fakeSyncs{events: someEvents, polls: 1 << 30, onPoll: stop}
	a, _, errs := testApp(nil)
	code := run(ctx, a, watchArgs(fake.start(t), "production"))
	if code != exitFailed || !strings.Contains(errs.String(), "the sync continues") || !strings.Contains(errs.String(), "firescan sync cancel sync_1") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// The client reconnects when the stream of events ends, and polls records meanwhile.
func TestEventStreamEnds(t *testing.T) {
	var opened atomic.Int32
	fake := fakeSyncs{polls: 4, last: completedSync, events: func(http.ResponseWriter, *http.Request) { opened.Add(1) }}
	a, out, errs := testApp(nil)
	if code := run(t.Context(), a, watchArgs(fake.start(t), "production")); code != exitOK {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if opened.Load() < 2 || !strings.Contains(out.String(), "1,000 files") {
		t.Errorf("the stream was opened %d times\n%s%s", opened.Load(), out, errs)
	}
}

// A bar ends with its sync, whatever the result.
func TestBarsEnd(t *testing.T) {
	percent := 50.0
	for _, status := range []apiclient.SyncStatus{"completed", "failed", ""} {
		var out bytes.Buffer
		b := newBars(t.Context(), &out, map[string]string{"storage_1": "production"})
		b.update(progress{SyncID: "sync_1", DestinationID: "storage_1", Percent: &percent})
		b.update(progress{SyncID: "sync_1", DestinationID: "storage_1"}) // unknown: the bar stays
		if status != "" {
			b.end(syncRecord{Sync: apiclient.Sync{ID: "sync_1", DestinationID: "storage_1", Status: status}})
		}
		b.close()
		b.close()
		b.update(progress{SyncID: "sync_2"}) // ignored
	}
}
