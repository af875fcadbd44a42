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

// TestFrozenLeader stops the process of the leader in mid-scan, as a machine that is
// suspended would, and lets it go on when others have long taken over. Nothing that it
// still does may be accepted, and nobody may be told by it what is no longer true.
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
			c.must(t, w.service, asked{
				method: http.MethodPut, path: "/api/v1/catalog/projects/fenced", within: 3 * time.Second,
				body: map[string]string{"id": "fenced", "name": value},
			}, nil)
		}
		put("old")
		l := &ledger{as: w.service, name: "frozen"}
		var questions sync.WaitGroup
		during(t, func() {
			before := w.served()
			id := w.begin(t)
			w.listed(t, before, 0.3)
			frozen.freeze(t)
			began := time.Now()
			await(t, "another node leads", 3*electionLimit, func() bool { return c.leaderAmong(t.Context(), c.up()) != nil })
			t.Logf("%s was frozen; another node led after %v", frozen.id, time.Since(began).Round(time.Millisecond))
			put("new")
			// These wait in the frozen node's socket, which answers as soon as it wakes.
			for range 8 {
				questions.Go(func() { neverOld(t, w.service, frozen) })
			}
			time.Sleep(time.Until(began.Add(pick(8*time.Second, 30*time.Second))))
			frozen.thaw(t)
			t.Logf("it woke after %v and was ready %v later", time.Since(began).Round(time.Millisecond), c.serves(t, frozen).Round(time.Millisecond))
			w.finish(t, id)
		}, func(ctx context.Context) { l.write(ctx, c.up) })
		questions.Wait()
		c.voters(t, patience, c.nodes...)
		if n := c.leaders(t); n != 1 {
			t.Errorf("%d nodes lead", n)
		}
		l.holds(t, c.nodes...)
		if want == "" {
			want = w.right(t)
			w.sync(t)
		}
		w.same(t, want)
		if t.Failed() {
			return
		}
	}
}

// leaders counts the nodes that say that they lead.
func (c *cluster) leaders(t testing.TB) (n int) {
	t.Helper()
	for _, node := range c.up() {
		if leads, _ := c.metric(t.Context(), node, "firescan_cluster_leader"); leads == 1 {
			n++
		}
	}
	return n
}

// neverOld reads a record that was written since, from a node that slept over it.
func neverOld(t testing.TB, as *client, n *node) {
	t.Helper()
	a, err := as.ask(t.Context(), n, asked{method: http.MethodGet, path: "/api/v1/catalog/projects/fenced", within: 2 * time.Minute})
	if err != nil || !a.good() {
		return // it may say that it does not know
	}
	var project struct{ Name string }
	if err := json.Unmarshal(a.Data, &project); err != nil || project.Name != "new" {
		t.Errorf("%s told %q (%v) after it had slept", n.id, project.Name, err)
	}
}
