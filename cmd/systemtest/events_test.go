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

// events follows the server-sent events of a node, and is ready when it listens.
func (c *cluster) events(t testing.TB, as *client, n *node, see func(name string, data []byte)) (stopped func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	resp, err := as.open(ctx, n, asked{method: http.MethodGet, path: "/api/v1/storage/events"})
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
				see(name, []byte(value))
			}
		}
	})
	return func() {
		stop()
		_ = resp.Body.Close()
		listening.Wait()
	}
}

// TestEventsOnAnyNode has clients of all nodes hear of a sync that the leader coordinates.
func TestEventsOnAnyNode(t *testing.T) {
	c := newCluster(t, settings{nodes: 3, flags: []string{"--scan-streams", "2"}})
	w := c.newWorld(t, bucketserver.Flat, few(10_000, 30_000), bucketserver.Options{PageSize: int(few(100, 300)), Latency: 150 * time.Millisecond})
	for range pick(1, 20) {
		var mu sync.Mutex
		heard := map[string][]progress{}
		stats := map[string]int{}
		for _, n := range c.nodes {
			defer c.events(t, w.owner, n, func(name string, data []byte) {
				mu.Lock()
				defer mu.Unlock()
				switch name {
				case "storage:sync-progress":
					var p progress
					if err := json.Unmarshal(data, &p); err != nil {
						t.Errorf("an event that is not understood: %v\n%s", err, data)
					}
					heard[n.id] = append(heard[n.id], p)
				case "storage:stats-update":
					stats[n.id]++
				}
			})()
		}
		id := w.begin(t)
		w.finish(t, id)
		await(t, "clients of all nodes heard the end", patience, func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, n := range c.nodes {
				all := heard[n.id]
				if len(all) == 0 || all[len(all)-1].Status != "completed" || stats[n.id] == 0 {
					return false
				}
			}
			return true
		})
		mu.Lock()
		for _, n := range c.nodes {
			running := 0
			for _, p := range heard[n.id] {
				if p.SyncID != id {
					t.Errorf("%s told of sync %s, there is only %s", n.id, p.SyncID, id)
				}
				if p.Status == "running" && p.FilesScanned > 0 && p.FilesScanned < w.want.Digest.Files {
					running++
				}
			}
			if last := heard[n.id][len(heard[n.id])-1]; last.FilesScanned != w.want.Digest.Files {
				t.Errorf("%s told at last of %d files, there are %d", n.id, last.FilesScanned, w.want.Digest.Files)
			}
			t.Logf("%s told %d events, %d of them while files were counted", n.id, len(heard[n.id]), running)
			if running == 0 {
				t.Errorf("%s told nothing of how the sync went", n.id)
			}
		}
		mu.Unlock()
	}
}
