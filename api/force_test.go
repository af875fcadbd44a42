package api

import (
	"context"
	"slices"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider/mem"
)

// running waits for a running sync and returns its id.
func (r *rig) running() (id string) {
	r.t.Helper()
	for {
		changed := r.catalog.Changed()
		if err := r.catalog.View(func(tx *catalog.Tx) error {
			all, err := tx.RunningSyncs()
			if len(all) > 0 {
				id = all[0].Id
			}
			return err
		}); err != nil {
			r.t.Fatal(err)
		}
		if id != "" {
			return id
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			r.t.Fatal("no sync was started")
		}
	}
}

// TestForceWaitsForTheSync ends a sync while a client waits: the response has the files
// that it found, or why it failed.
func TestForceWaitsForTheSync(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.server.syncs.forceWait = time.Minute
	id := r.destination()
	path := "/api/v1/storage/destinations/" + id
	for _, url := range []string{path + "/files?force=true", path + "/files/stats?force=true"} {
		responses := make(chan *response)
		go func() { responses <- r.do(catalog.RoleMember, "GET", url, "") }()
		r.running()
		r.now = r.now.Add(time.Minute)
		r.fill(id, []index.Entry{{Path: []byte("backups/production/a.backup"), Size: 9, Type: index.Backup}})
		a := <-responses
		if a.status != 200 || a.at("meta", "isSyncing") != false || a.at("meta", "isFresh") != true || a.at("meta", "cached") != false || a.at("data", "orphanSize") != "9" {
			t.Errorf("%s after the sync: %d %s", url, a.status, a.raw)
		}
	}
	for _, c := range []struct {
		end    *pb.FinishSync
		status int
		code   Code
		text   string // of lastSyncError, empty for none
	}{
		{&pb.FinishSync{Status: "failed", Error: "list: credentials: the access key is unknown", Cause: "credentials"}, 400, CodeCredentials, "Failed to connect to storage provider: the access key is unknown"},
		{&pb.FinishSync{Status: "failed", Error: "list: denied: no access", Cause: "denied"}, 403, CodeProviderDenied, "The storage provider refused access with these credentials: no access"},
		{&pb.FinishSync{Status: "failed", Error: "list: unavailable: the host name cannot be resolved", Cause: "unavailable"}, 502, CodeProvider, "The storage provider did not respond: the host name cannot be resolved"},
		{&pb.FinishSync{Status: "failed", Error: "stat: no bucket: gone", Cause: "no bucket"}, 404, CodeBucketNotFound, "Bucket 'backups-bucket' does not exist or is not accessible"},
		{&pb.FinishSync{Status: "failed", Error: "the node's disk is full"}, 503, CodeIndexUnavailable, "The sync failed: the node's disk is full"},
		{&pb.FinishSync{Status: "failed", Error: "the bucket is gone", Cause: "of a newer build"}, 503, CodeIndexUnavailable, "The sync failed: the bucket is gone"},
		{&pb.FinishSync{Status: "cancelled"}, 409, CodeConflict, ""},
	} {
		responses := make(chan *response)
		go func() { responses <- r.do(catalog.RoleMember, "GET", path+"/files?force=true&limit=1", "") }()
		c.end.SyncId, c.end.At = r.running(), r.now.UnixMilli()
		r.propose(c.end)
		(<-responses).refused(c.status, c.code)
		// Without force there are the files of the last sync, and why the newest failed.
		a := r.owner("GET", path+"/files", "")
		if a.at("meta", "cached") != true || a.at("data", "total") != 1.0 {
			t.Errorf("after %v: %s", c.end, a.raw)
		}
		all := r.owner("GET", "/api/v1/storage/stats", "")
		if c.text == "" {
			if a.at("meta", "lastSyncError") != nil || all.at("data", "destinations", 0, "lastSyncError") != nil {
				t.Errorf("after %v: %s", c.end, a.raw)
			}
			continue
		}
		for what, got := range map[string]any{"files": a.at("meta", "lastSyncError", "message"), "stats": all.at("data", "destinations", 0, "lastSyncError", "message")} {
			if got != c.text {
				t.Errorf("%s after %v: lastSyncError is %q, want %q", what, c.end, got, c.text)
			}
		}
		if a.at("meta", "lastSyncError", "code") != string(c.code) || a.at("meta", "lastSyncError", "at") == nil {
			t.Errorf("after %v: %s", c.end, a.raw)
		}
	}
	// For all destinations force does not wait.
	if a := r.owner("GET", "/api/v1/storage/stats?force=true", ""); a.at("meta", "isSyncing") != true {
		t.Errorf("stats with force: %s", a.raw)
	}
	if s := r.owner("GET", "/api/v1/storage/syncs?limit=3", ""); s.at("data", "syncs", 2, "error") != "the bucket is gone" || s.at("data", "syncs", 2, "status") != "failed" {
		t.Errorf("syncs: %s", s.raw)
	}
}

// TestForceEndsWithItsDestination deletes the destination while a client waits.
func TestForceEndsWithItsDestination(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.server.syncs.forceWait = time.Minute
	id := r.destination()
	responses := make(chan *response)
	go func() {
		responses <- r.do(catalog.RoleMember, "GET", "/api/v1/storage/destinations/"+id+"/files?force=true", "")
	}()
	r.running()
	r.owner("DELETE", "/api/v1/storage/destinations/"+id, "")
	(<-responses).refused(404, CodeStorageNotFound)
}

// vanish deletes a destination just as its sync is about to start.
func (r *rig) vanish(id string) {
	r.replog.SetHook(func(_ context.Context, p *catalogtest.Proposal, commit func() error) error {
		if start, ok := p.Commands[0].(*pb.StartSync); ok && start.DestinationId == id {
			r.propose(&pb.DeleteDestination{Org: org, Id: id})
		}
		return commit()
	})
}

// TestDeletedDestinationDoesNotStopOthers deletes one of several destinations after
// they were listed and before they are synced.
func TestDeletedDestinationDoesNotStopOthers(t *testing.T) {
	for _, c := range []struct{ method, path string }{
		{"POST", "/api/v1/storage/sync"}, {"GET", "/api/v1/storage/stats?force=true"},
	} {
		r := newRig(t, mem.Options{})
		ids := []string{r.destination(), r.destination(), r.destination()}
		slices.Sort(ids) // the order of lists
		r.vanish(ids[0])
		r.owner(c.method, c.path, "")
		synced := []string{}
		for i := range 2 {
			synced = append(synced, r.owner("GET", "/api/v1/storage/syncs", "").at("data", "syncs", i, "destinationId").(string))
		}
		if slices.Sort(synced); !slices.Equal(synced, ids[1:]) {
			t.Errorf("%s syncs %v, want %v", c.path, synced, ids[1:])
		}
		r.vanish(ids[1])
		r.do(catalog.RoleMember, "POST", "/api/v1/storage/sync?destinationId="+ids[1], "").refused(404, CodeStorageNotFound)
	}
}
