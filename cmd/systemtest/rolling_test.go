package systemtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// TestRollingRestart restarts the nodes one by one, as in an upgrade, while clients read
// and write. Clients that retry, with the same idempotency key for creations, must see no
// error.
func TestRollingRestart(t *testing.T) {
	c := newCluster(t, settings{nodes: 3})
	w := c.newWorld(t, bucketserver.Flat, 5000, bucketserver.Options{})
	w.sync(t)
	c.awaitShards(t, w, c.nodes...)
	u := &traffic{world: w}
	during(t, func() {
		for range pick(1, 20) {
			for _, n := range c.nodes {
				n.terminate(t)
				time.Sleep(time.Second)
				n.start(t)
				c.awaitReady(t, n)
				c.awaitVoters(t, patience, c.nodes...)
			}
		}
	}, u.readFiles, u.readStats, u.make, u.put)
	u.verify(t)
}

// traffic are clients behind a load balancer that knows which nodes run, but not which of
// them are ready.
type traffic struct {
	*world
	mu           sync.Mutex
	calls, again int
	worst        time.Duration
	problems     []string
	made, kept   []string
	turn         int
}

// call retries until a response is final, each time on the next node.
func (u *traffic) call(ctx context.Context, as *client, q request) *response {
	u.mu.Lock()
	u.turn++
	first := u.turn % len(u.nodes)
	u.mu.Unlock()
	began := time.Now()
	a, tries, err := as.retry(ctx, append(slices.Clone(u.nodes[first:]), u.nodes[:first]...), q)
	if ctx.Err() != nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls++
	if tries > 1 {
		u.again++
	}
	u.worst = max(u.worst, time.Since(began))
	if err != nil {
		u.problems = append(u.problems, err.Error())
		return nil
	}
	if !a.ok() {
		u.problems = append(u.problems, fmt.Sprintf("%s %s: %s", q.method, q.path, a))
		return nil
	}
	return a
}

func (u *traffic) problem(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.problems = append(u.problems, fmt.Sprintf(format, args...))
}

// readFiles and readStats must return all files every time.
func (u *traffic) readFiles(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		a := u.call(ctx, u.owner, request{method: http.MethodGet, path: u.path("/files?limit=3")})
		if a == nil {
			continue
		}
		var files struct {
			Files []file
			Total uint64
		}
		if err := json.Unmarshal(a.Data, &files); err != nil || files.Total != u.want.Digest.Files || len(files.Files) != 3 {
			u.problem("%d files of %d, %d listed: %v", files.Total, u.want.Digest.Files, len(files.Files), err)
		}
	}
}

func (u *traffic) readStats(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		a := u.call(ctx, u.owner, request{method: http.MethodGet, path: u.path("/files/stats")})
		if a == nil {
			continue
		}
		var stats struct{ TotalFiles, OrphanFiles uint64 }
		if err := json.Unmarshal(a.Data, &stats); err != nil || stats.TotalFiles != u.want.Digest.Files || stats.OrphanFiles != u.want.OrphanTotal().Files {
			u.problem("stats %s, want %d files: %v", a.Data, u.want.Digest.Files, err)
		}
	}
}

// make creates destinations, each with a unique idempotency key.
func (u *traffic) make(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("made-%d", i)
		// The effect of a call that is canceled at the end is unknown: it is not counted.
		if u.call(ctx, u.owner, request{
			method: http.MethodPost, path: "/api/v1/storage/destinations", key: name, body: destinationOf(name, "some-bucket", "http://127.0.0.1:1"),
		}) != nil {
			u.mu.Lock()
			u.made = append(u.made, name)
			u.mu.Unlock()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (u *traffic) put(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("kept-%d", i)
		if u.call(ctx, u.service, request{
			method: http.MethodPut, path: "/api/v1/catalog/projects/" + id, body: map[string]string{"id": id, "name": id},
		}) != nil {
			u.mu.Lock()
			u.kept = append(u.kept, id)
			u.mu.Unlock()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// verify checks that all acknowledged writes are stored.
func (u *traffic) verify(t *testing.T) {
	t.Helper()
	t.Logf("%d calls, %d of them with retries, the slowest took %v including retries; %d destinations and %d records were created",
		u.calls, u.again, u.worst.Round(time.Millisecond), len(u.made), len(u.kept))
	for i, p := range u.problems {
		if i == 10 {
			t.Errorf("and %d more", len(u.problems)-i)
			break
		}
		t.Error(p)
	}
	if len(u.made) == 0 || len(u.kept) == 0 {
		t.Error("nothing was created: the test is void")
	}
	for _, n := range u.nodes {
		a, _, err := u.owner.retry(t.Context(), []*node{n}, request{method: http.MethodGet, path: "/api/v1/storage/destinations"})
		if err != nil {
			t.Fatal(err)
		}
		var all []struct{ Name string }
		decode(t, a, &all)
		times := map[string]int{}
		for _, d := range all {
			times[d.Name]++
		}
		for _, name := range u.made {
			if times[name] != 1 {
				t.Errorf("%s returns %d destinations %q", n.id, times[name], name)
			}
		}
	}
	for i, id := range u.kept {
		n := u.nodes[i%len(u.nodes)]
		if a, _, err := u.service.retry(t.Context(), []*node{n}, request{method: http.MethodGet, path: "/api/v1/catalog/projects/" + id}); err != nil || !a.ok() {
			t.Errorf("%s of %s: %v, %v", id, n.id, a, err)
		}
	}
}
