package systemtest

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// progress is an event of a sync.
type progress struct {
	SyncID, Status string
	FilesScanned   uint64
	Nodes          []string
}

// events subscribes to the server-sent events of a node and returns when the stream is
// open.
func (c *cluster) events(t testing.TB, as *client, n *node, handle func(name string, data []byte)) (stopped func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	resp, err := as.open(ctx, n, request{method: http.MethodGet, path: "/api/v1/storage/events"})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("events of %s: %s", n.id, resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	var listening sync.WaitGroup
	listening.Go(func() {
		name := ""
		for lines.Scan() {
			switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
			case "event":
				name = value
			case "data":
				handle(name, []byte(value))
			}
		}
	})
	return func() {
		stop()
		_ = resp.Body.Close()
		listening.Wait()
	}
}

// TestEventsOnAnyNode checks that clients of all nodes receive the events of a sync.
func TestEventsOnAnyNode(t *testing.T) {
	c := newCluster(t, settings{nodes: 3, flags: []string{"--scan-streams", "2"}})
	w := c.newWorld(t, bucketserver.Flat, few(10_000, 30_000), bucketserver.Options{PageSize: int(few(100, 300)), Latency: 150 * time.Millisecond})
	for range pick(1, 20) {
		var mu sync.Mutex
		received := map[string][]progress{}
		stats := map[string]int{}
		for _, n := range c.nodes {
			defer c.events(t, w.owner, n, func(name string, data []byte) {
				mu.Lock()
				defer mu.Unlock()
				switch name {
				case "storage:sync-progress":
					var p progress
					if err := json.Unmarshal(data, &p); err != nil {
						t.Errorf("unexpected event: %v\n%s", err, data)
					}
					received[n.id] = append(received[n.id], p)
				case "storage:stats-update":
					stats[n.id]++
				}
			})()
		}
		id := w.startSync(t)
		w.awaitSync(t, id)
		await(t, "clients of all nodes received the final event", patience, func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, n := range c.nodes {
				all := received[n.id]
				if len(all) == 0 || all[len(all)-1].Status != "completed" || stats[n.id] == 0 {
					return false
				}
			}
			return true
		})
		mu.Lock()
		for _, n := range c.nodes {
			running := 0
			for _, p := range received[n.id] {
				if p.SyncID != id {
					t.Errorf("%s sent an event of sync %s, want only %s", n.id, p.SyncID, id)
				}
				if p.Status == "running" && p.FilesScanned > 0 && p.FilesScanned < w.want.Digest.Files {
					running++
				}
			}
			if last := received[n.id][len(received[n.id])-1]; last.FilesScanned != w.want.Digest.Files {
				t.Errorf("%s: the final event has %d files, want %d", n.id, last.FilesScanned, w.want.Digest.Files)
			}
			t.Logf("%s sent %d events, %d of them with partial counts", n.id, len(received[n.id]), running)
			if running == 0 {
				t.Errorf("%s sent no event with a partial count", n.id)
			}
		}
		mu.Unlock()
	}
}
