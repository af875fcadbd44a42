package systemtest

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// TestFrozenLeader stops the process of the leader during a scan, like a suspended
// machine, and continues it after a new election. No later action of the old leader may
// be accepted, and it must not serve stale reads.
func TestFrozenLeader(t *testing.T) {
	c := newCluster(t, settings{nodes: 3, flags: []string{"--scan-streams", "4"}})
	w := c.newWorld(t, bucketserver.Skewed, pick(few(40_000, 150_000), 1_000_000), bucketserver.Options{
		PageSize: pick(int(few(50, 200)), 1000), Latency: 60 * time.Millisecond,
	})
	want := ""
	for range pick(1, 20) {
		frozen := c.leader(t)
		put := func(value string) {
			t.Helper()
			c.must(t, w.service, request{
				method: http.MethodPut, path: "/api/v1/catalog/projects/fenced", timeout: 3 * time.Second,
				body: map[string]string{"id": "fenced", "name": value},
			}, nil)
		}
		put("old")
		l := &ledger{as: w.service, name: "frozen"}
		var reads sync.WaitGroup
		during(t, func() {
			before := w.keysListed()
			id := w.startSync(t)
			w.awaitListed(t, before, 0.3)
			frozen.freeze(t)
			began := time.Now()
			await(t, "there is a new leader", 3*electionLimit, func() bool { return c.leaderAmong(t.Context(), c.up()) != nil })
			t.Logf("%s was frozen; there was a new leader after %v", frozen.id, time.Since(began).Round(time.Millisecond))
			put("new")
			// These requests wait in the socket of the frozen node until it continues.
			for range 8 {
				reads.Go(func() { readNotStale(t, w.service, frozen) })
			}
			time.Sleep(time.Until(began.Add(pick(8*time.Second, 30*time.Second))))
			frozen.thaw(t)
			t.Logf("it continued after %v and was ready %v later", time.Since(began).Round(time.Millisecond), c.awaitReady(t, frozen).Round(time.Millisecond))
			w.awaitSync(t, id)
		}, func(ctx context.Context) { l.write(ctx, c.up) })
		reads.Wait()
		c.awaitVoters(t, patience, c.nodes...)
		await(t, "one node is the leader", patience, func() bool { return c.leaders(t) == 1 })
		l.verify(t, c.nodes...)
		if want == "" {
			want = w.verify(t)
			w.sync(t)
		}
		w.verifySum(t, want)
		if t.Failed() {
			return
		}
	}
}

// leaders counts the nodes that report to be the leader.
func (c *cluster) leaders(t testing.TB) (n int) {
	t.Helper()
	for _, node := range c.up() {
		if leads, _ := c.metric(t.Context(), node, "firescan_cluster_leader"); leads == 1 {
			n++
		}
	}
	return n
}

// readNotStale reads a record from a node that was frozen while the record was written.
func readNotStale(t testing.TB, as *client, n *node) {
	t.Helper()
	a, err := as.do(t.Context(), n, request{method: http.MethodGet, path: "/api/v1/catalog/projects/fenced", timeout: 2 * time.Minute})
	if err != nil || !a.ok() {
		return // an error is allowed
	}
	var project struct{ Name string }
	if err := json.Unmarshal(a.Data, &project); err != nil || project.Name != "new" {
		t.Errorf("%s returned %q (%v) after it was frozen", n.id, project.Name, err)
	}
}
