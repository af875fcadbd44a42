package node

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"firescan/api/socketio/socketiotest"
	"firescan/bench/bucketserver"
	"firescan/catalog"
)

// TestSocketIOSyncProgress has socket.io-client listen to the sync of a bucket, and checks
// each field of the events.
func TestSocketIOSyncProgress(t *testing.T) {
	if testing.Short() {
		t.Skip("runs node")
	}
	const files = 40_000
	keys, err := bucketserver.NewKeys(bucketserver.Tree, files)
	if err != nil {
		t.Fatal(err)
	}
	bucket := httptest.NewServer(bucketserver.New(bucketserver.Options{Keys: keys, Bucket: "backups", Latency: 100 * time.Millisecond}))
	defer bucket.Close()
	c := testConfig(t)
	root := catalog.NewToken()
	c.RootToken, c.AllowEndpoints, c.ScanStreams = catalog.NewSecret(root), []string{strings.TrimPrefix(bucket.URL, "http://")}, 2
	r := run(t, c)
	owner := r.token(t, root, "owner")
	status, body := r.call(t, http.MethodPost, "/api/v1/storage/destinations", owner, "acme",
		`{"name":"d","type":"S3","bucket":"backups","region":"us-east-1","endpoint":"`+bucket.URL+`",
		"credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"secret"}}`)
	var created struct{ Data struct{ ID string } }
	if err := json.Unmarshal([]byte(body), &created); err != nil || status/100 != 2 {
		t.Fatalf("create a destination: %d %s", status, body)
	}

	client := socketiotest.Start(t)
	client.Connect("c", r.URL(), map[string]any{"auth": map[string]string{"token": owner, "organizationId": "acme"}})
	client.Wait("c", "connect")
	begun := time.Now()
	if status, body := r.call(t, http.MethodPost, "/api/v1/storage/sync?destinationId="+created.Data.ID, owner, "acme", ""); status/100 != 2 {
		t.Fatalf("sync: %d %s", status, body)
	}
	var progress []socketiotest.Seen
	for {
		s := client.Wait("c", "event", "disconnect")
		if len(s.Args) != 1 {
			t.Fatalf("%s %q with %d arguments", s.What, s.Event, len(s.Args))
		}
		if s.Event == "storage:stats-update" {
			checkStats(t, r, owner, s.Args[0])
			break
		}
		if s.Event != "storage:sync-progress" {
			t.Fatalf("the event %q", s.Event)
		}
		progress = append(progress, s)
	}
	checkProgress(t, created.Data.ID, files, progress, begun)
}

// checkProgress checks the events of a sync, which began after the given time.
func checkProgress(t *testing.T, destination string, files float64, events []socketiotest.Seen, begun time.Time) {
	t.Helper()
	shape := map[string]string{
		"organizationId": "string", "destinationId": "string", "syncId": "string", "status": "string",
		"filesScanned": "float64", "bytesScanned": "float64", "orphanFiles": "float64", "percent": "float64",
		"filesPerSecond": "float64", "etaSeconds": "float64", "rangesDone": "float64", "rangesTotal": "float64", "nodes": "[]interface {}",
	}
	var running []int64
	scanned := 0.0
	for i, s := range events {
		var data map[string]any
		if err := json.Unmarshal(s.Args[0], &data); err != nil {
			t.Fatal(err)
		}
		for field, want := range shape {
			got := fmt.Sprintf("%T", data[field])
			if got != want && (field != "etaSeconds" || data[field] != nil) {
				t.Errorf("%s has type %s, want %s: %s", field, got, want, s.Args[0])
			}
		}
		if len(data) != len(shape) {
			t.Errorf("%d fields, want %d: %s", len(data), len(shape), s.Args[0])
		}
		if data["organizationId"] != "acme" || data["destinationId"] != destination {
			t.Errorf("event for %v %v", data["organizationId"], data["destinationId"])
		}
		now, _ := data["filesScanned"].(float64)
		if now < scanned {
			t.Errorf("filesScanned fell from %v to %v", scanned, now)
		}
		scanned = now
		want := catalog.SyncRunning
		if i == len(events)-1 {
			want = catalog.SyncCompleted
		} else {
			running = append(running, s.At)
		}
		if data["status"] != want {
			t.Errorf("event %d of %d has the status %v", i, len(events), data["status"])
		}
	}
	if scanned != files {
		t.Errorf("filesScanned is %v at the end, want %v", scanned, files)
	}
	// At most four a second. Events may arrive late and together, but none was sent before
	// the sync began, nor after the last arrived.
	if len(running) < 3 {
		t.Fatalf("only %d events while the sync ran", len(running))
	}
	took := slices.Max(running) - begun.UnixMilli()
	if most := int(took*4/1000) + 2; len(running) > most {
		t.Errorf("%d events in %d ms", len(running), took)
	}
}

// checkStats compares an event with the response of GET stats.
func checkStats(t *testing.T, r *running, token string, event json.RawMessage) {
	t.Helper()
	status, body := r.call(t, http.MethodGet, "/api/v1/storage/stats", token, "acme", "")
	var response struct{ Data json.RawMessage }
	if err := json.Unmarshal([]byte(body), &response); err != nil || status != http.StatusOK {
		t.Fatalf("stats: %d %s", status, body)
	}
	if string(event) != string(response.Data) {
		t.Errorf("event %s, but GET stats returned %s", event, response.Data)
	}
}
