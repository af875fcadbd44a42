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

// TestRollingRestart restarts one node after the other, as for an upgrade, while clients
// read and write all the time. Whoever tries again, with the same key where something is
// made, must not notice.
func TestRollingRestart(t *testing.T) {
	c := newCluster(t, settings{nodes: 3})
	w := c.newWorld(t, bucketserver.Flat, 5000, bucketserver.Options{})
	w.sync(t)
	c.whole(t, w, c.nodes...)
	u := &usage{world: w}
	during(t, func() {
		for range pick(1, 20) {
			for _, n := range c.nodes {
				n.quit(t)
				time.Sleep(time.Second)
				n.start(t)
				c.serves(t, n)
				c.voters(t, patience, c.nodes...)
			}
		}
	}, u.readFiles, u.readStats, u.make, u.put)
	u.judge(t)
}

// usage is what clients do behind a load balancer that knows which nodes run, and not
// which of them can answer.
type usage struct {
	*world
	mu           sync.Mutex
	calls, again int
	worst        time.Duration
	problems     []string
	made, kept   []string
	turn         int
}

// call tries until it has an answer for good, each time on the next node.
func (u *usage) call(ctx context.Context, as *client, q asked) *answer {
	u.mu.Lock()
	u.turn++
	first := u.turn % len(u.nodes)
	u.mu.Unlock()
	began := time.Now()
	a, tries, err := as.persist(ctx, append(slices.Clone(u.nodes[first:]), u.nodes[:first]...), q)
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
	if !a.good() {
		u.problems = append(u.problems, fmt.Sprintf("%s %s: %s", q.method, q.path, a))
		return nil
	}
	return a
}

func (u *usage) problem(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.problems = append(u.problems, fmt.Sprintf(format, args...))
}

// readFiles and readStats must find all files every time.
func (u *usage) readFiles(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		a := u.call(ctx, u.owner, asked{method: http.MethodGet, path: u.path("/files?limit=3")})
		if a == nil {
			continue
		}
		var files struct {
			Files []file
			Total uint64
		}
		if err := json.Unmarshal(a.Data, &files); err != nil || files.Total != u.want.Digest.Files || len(files.Files) != 3 {
			u.problem("%d files of %d, %d shown: %v", files.Total, u.want.Digest.Files, len(files.Files), err)
		}
	}
}

func (u *usage) readStats(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		a := u.call(ctx, u.owner, asked{method: http.MethodGet, path: u.path("/files/stats")})
		if a == nil {
			continue
		}
		var stats struct{ TotalFiles, OrphanFiles uint64 }
		if err := json.Unmarshal(a.Data, &stats); err != nil || stats.TotalFiles != u.want.Digest.Files || stats.OrphanFiles != u.want.OrphanTotal().Files {
			u.problem("stats %s, want %d files: %v", a.Data, u.want.Digest.Files, err)
		}
	}
}

// make makes destinations, each under a key of its own.
func (u *usage) make(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("made-%d", i)
		// Also a call that ends with the test has made it, or not: that one is left out.
		if u.call(ctx, u.owner, asked{
			method: http.MethodPost, path: "/api/v1/storage/destinations", key: name, body: destinationOf(name, "some-bucket", "http://127.0.0.1:1"),
		}) != nil {
			u.mu.Lock()
			u.made = append(u.made, name)
			u.mu.Unlock()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (u *usage) put(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("kept-%d", i)
		if u.call(ctx, u.service, asked{
			method: http.MethodPut, path: "/api/v1/catalog/projects/" + id, body: map[string]string{"id": id, "name": id},
		}) != nil {
			u.mu.Lock()
			u.kept = append(u.kept, id)
			u.mu.Unlock()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// judge holds what is stored against what was promised.
func (u *usage) judge(t *testing.T) {
	t.Helper()
	t.Logf("%d calls, %d of them needed another try, the slowest took %v with its tries; %d destinations and %d records were made",
		u.calls, u.again, u.worst.Round(time.Millisecond), len(u.made), len(u.kept))
	for i, p := range u.problems {
		if i == 10 {
			t.Errorf("and %d more", len(u.problems)-i)
			break
		}
		t.Error(p)
	}
	if len(u.made) == 0 || len(u.kept) == 0 {
		t.Error("nothing was made: the test tests nothing")
	}
	for _, n := range u.nodes {
		a, _, err := u.owner.persist(t.Context(), []*node{n}, asked{method: http.MethodGet, path: "/api/v1/storage/destinations"})
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
				t.Errorf("%s tells %d destinations %q", n.id, times[name], name)
			}
		}
	}
	for i, id := range u.kept {
		n := u.nodes[i%len(u.nodes)]
		if a, _, err := u.service.persist(t.Context(), []*node{n}, asked{method: http.MethodGet, path: "/api/v1/catalog/projects/" + id}); err != nil || !a.good() {
			t.Errorf("%s of %s: %v, %v", id, n.id, a, err)
		}
	}
}
