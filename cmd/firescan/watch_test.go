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
)

// fakeSyncs is an API with one destination, whose sync is looked at some times before
// it ends.
type fakeSyncs struct {
	events http.HandlerFunc // of the stream of events
	looks  int32            // how many looks find it running
	last   string           // the record in the end
	onLook func()

	looked atomic.Int32
}

const (
	runningSync   = `{"id":"sync_1","destinationId":"storage_1","status":"running","startedAt":"2024-01-15T10:00:00Z","finishedAt":null,"filesScanned":500,"bytesScanned":5000,"orphanFiles":5,"missingBackups":0,"filesPerSecond":250.5,"error":null}`
	completedSync = `{"id":"sync_1","destinationId":"storage_1","status":"completed","startedAt":"2024-01-15T10:00:00Z","finishedAt":"2024-01-15T10:00:04Z","filesScanned":1000,"bytesScanned":10240,"orphanFiles":10,"missingBackups":2,"filesPerSecond":250,"error":null}`
	failedSync    = `{"id":"sync_1","destinationId":"storage_1","status":"failed","startedAt":"2024-01-15T10:00:00Z","finishedAt":"2024-01-15T10:00:04Z","filesScanned":0,"bytesScanned":0,"orphanFiles":0,"missingBackups":0,"filesPerSecond":0,"error":"the bucket\nis <gone>"}`
)

func (f *fakeSyncs) start(t *testing.T) (addr string) {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(pattern, data string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"success":true,"data":%s}`, data)
		})
	}
	answer("GET /api/v1/storage/destinations", `[{"id":"storage_1","name":"production"}]`)
	answer("POST /api/v1/storage/sync", `{"status":"syncing","organizationId":"acme","syncIds":["sync_1"]}`)
	mux.HandleFunc("GET /api/v1/storage/syncs/sync_1", func(w http.ResponseWriter, _ *http.Request) {
		if f.onLook != nil {
			f.onLook()
		}
		record := f.last
		if f.looked.Add(1) <= f.looks {
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

// someEvents tells of the sync, and then nothing more.
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
			fakeSyncs{events: someEvents, looks: 1, last: completedSync},
			exitOK,
			"production: 1,000 files (10 KiB) in 4s, 10 orphans, 2 backups miss their file\n", "production: 42% 420 files, 0 orphans, 210/s, 3s left\n",
		},
		"no events": {
			fakeSyncs{events: noEvents, looks: 1, last: completedSync},
			exitOK,
			"production: 1,000 files (10 KiB) in 4s, 10 orphans, 2 backups miss their file\n", "production: 500 files, 5 orphans, 250/s\n",
		},
		"over at once": {fakeSyncs{events: noEvents, last: completedSync}, exitOK, "production: 1,000 files", ""},
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
			code := a.run(t.Context(), watchArgs(c.fake.start(t), "production"))
			if code != c.code || !strings.HasPrefix(out.String(), c.out) || errs.String() != c.errs {
				t.Errorf("exit code %d\nout: %serr: %swant %d\nout: %serr: %s", code, out, errs, c.code, c.out, c.errs)
			}
		})
	}
}

// As JSON the records are printed as they came, in one document, also when the sync
// failed.
func TestWatchAsJSON(t *testing.T) {
	for record, want := range map[string]int{completedSync: exitOK, failedSync: exitFailed} {
		fake := fakeSyncs{events: noEvents, looks: 1, last: record}
		a, out, errs := testApp(nil)
		if code := a.run(t.Context(), watchArgs(fake.start(t), "--json")); code != want {
			t.Errorf("exit code %d, want %d: %s", code, want, errs)
		}
		if got, want := out.String(), `{"success":true,"data":{"syncs":[`+record+"]}}\n"; got != want {
			t.Errorf("printed %swant %s", got, want)
		}
		if !json.Valid(out.Bytes()) {
			t.Errorf("no JSON: %s", out)
		}
	}
}

// Whoever stops watching is told that the sync goes on, and what to do about that.
func TestStopWatching(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	fake := fakeSyncs{events: someEvents, looks: 1 << 30, onLook: stop}
	a, _, errs := testApp(nil)
	code := a.run(ctx, watchArgs(fake.start(t), "production"))
	if code != exitFailed || !strings.Contains(errs.String(), "the sync goes on") || !strings.Contains(errs.String(), "firescan sync cancel sync_1") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// Events that end are listened to again, and the records tell the progress meanwhile.
func TestEventsThatEnd(t *testing.T) {
	var heard atomic.Int32
	fake := fakeSyncs{looks: 4, last: completedSync, events: func(http.ResponseWriter, *http.Request) { heard.Add(1) }}
	a, out, errs := testApp(nil)
	if code := a.run(t.Context(), watchArgs(fake.start(t), "production")); code != exitOK {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if heard.Load() < 2 || !strings.Contains(out.String(), "1,000 files") {
		t.Errorf("listened %d times\n%s%s", heard.Load(), out, errs)
	}
}

// A bar ends with its sync, whatever became of it.
func TestBarsEnd(t *testing.T) {
	percent := 50.0
	for _, status := range []string{"completed", "failed", ""} {
		var out bytes.Buffer
		b := newBars(t.Context(), &out, map[string]string{"storage_1": "production"})
		b.see(progress{SyncID: "sync_1", DestinationID: "storage_1", Percent: &percent})
		b.see(progress{SyncID: "sync_1", DestinationID: "storage_1"}) // not known: stays
		if status != "" {
			b.end(syncRecord{ID: "sync_1", DestinationID: "storage_1", Status: status})
		}
		b.close()
		b.close()
		b.see(progress{SyncID: "sync_2"}) // too late, and no harm
	}
}
