package systemtest

import (
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// TestKillDuringDelete kills the node that deletes orphans. After the recovery, each file
// is either deleted from bucket and index and in the audit log, or still in both; no
// linked file is missing.
func TestKillDuringDelete(t *testing.T) {
	const latency = 40 * time.Millisecond
	c := newCluster(t, settings{nodes: 3, flags: []string{"--guard-missing", "1000000"}})
	for round := range pick(1, 20) {
		keys, most := few(3000, 6000), int64(1) // files per request
		batches := round%2 == 1
		if batches {
			keys, most = 25_000, 1000
		}
		w := c.newWorldOf(t, bucketserver.Skewed, keys, 0.4, bucketserver.Options{Latency: latency})
		w.noBatches = !batches
		w.sync(t)
		c.awaitShards(t, w, c.nodes...)
		before := w.inBucket(t)
		linked := map[string]bool{}
		w.mustExport(t, c.nodes[0], func(f *file) {
			if !f.IsOrphan {
				linked[f.Path] = true
			}
		})
		orphans := len(before) - len(linked)
		victim := c.nodes[rand.IntN(len(c.nodes))]
		led := victim == c.leader(t)

		var cleaning sync.WaitGroup
		cleaning.Go(func() {
			_, _ = w.owner.do(t.Context(), victim, cleanup(w)) // its node is killed
		})
		// The first requests probe for support of conditional deletes.
		const probes = 4
		requests := probes + int64((0.1+0.8*rand.Float64())*float64(orphans)/float64(most))
		await(t, "some orphans are deleted", patience, func() bool { return w.deletes.Load() >= requests })
		time.Sleep(time.Duration(rand.Int64N(int64(latency))))
		victim.kill(t)
		cleaning.Wait()
		killed := time.Now()
		rest := w.inBucket(t)
		t.Logf("%s (leading: %v) was killed after %d delete requests; %d of %d orphans were deleted", victim.id, led, w.deletes.Load(), len(before)-len(rest), orphans)
		victim.start(t)
		c.awaitReady(t, victim)
		if round%2 == 0 {
			// As leader it recovers its own open intents at once; another leader waits for
			// minutes, because the node might only be partitioned.
			c.lead(t, victim)
		}
		var odd []string
		await(t, "open intents are recovered", 4*time.Minute, func() bool {
			rest, odd = w.inBucket(t), nil
			shown := map[string]bool{}
			w.mustExport(t, c.leader(t), func(f *file) {
				shown[f.Path] = true
				if !rest[f.Path] {
					odd = append(odd, f.Path)
				}
			})
			for path := range rest {
				if !shown[path] {
					t.Fatalf("%q is in the bucket, but not in the index", path)
				}
			}
			time.Sleep(300 * time.Millisecond)
			return len(odd) == 0
		})
		t.Logf("recovered after %v; %d files are deleted", time.Since(killed).Round(time.Millisecond), len(before)-len(rest))
		for path := range linked {
			if !rest[path] {
				t.Errorf("%q is linked and was deleted", path)
			}
		}
		w.checkAudit(t, before, rest)

		// A second cleanup completes.
		c.must(t, w.owner, cleanup(w), nil)
		if rest := w.inBucket(t); len(rest) != len(linked) {
			t.Errorf("%d files are left, want %d", len(rest), len(linked))
		}
		for _, n := range c.nodes {
			shown := 0
			w.mustExport(t, n, func(*file) { shown++ })
			if shown != len(linked) {
				t.Errorf("%s lists %d files, want %d", n.id, shown, len(linked))
			}
		}
		if t.Failed() {
			return
		}
	}
}

func cleanup(w *world) request {
	return request{method: http.MethodPost, path: w.path("/cleanup-orphans?includeUnknown=true"), timeout: 2 * time.Minute}
}

// lead makes the given node the leader: it stops the leader while no other node can win
// an election.
func (c *cluster) lead(t testing.TB, n *node) {
	t.Helper()
	for range 10 {
		leader := c.leader(t)
		if leader == n {
			return
		}
		behind := c.others(n, leader)
		for _, other := range behind {
			other.freeze(t)
		}
		// An entry that the frozen nodes lack keeps the leader from transferring leadership to
		// them.
		c.as(t, "behind", "viewer")
		leader.terminate(t)
		for _, other := range behind {
			other.thaw(t)
		}
		leader.start(t)
		for _, n := range c.nodes {
			c.awaitReady(t, n)
		}
	}
	t.Fatalf("%s does not become leader", n.id)
}

// inBucket lists the bucket directly.
func (w *world) inBucket(t testing.TB) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	q := url.Values{"list-type": {"2"}}
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.endpoint+"/"+w.bucket.Bucket()+"?"+q.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.admin.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var page struct {
			Contents              []struct{ Key string }
			NextContinuationToken string
		}
		if err == nil {
			err = xml.Unmarshal(raw, &page)
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("list the bucket: %s, %v", resp.Status, err)
		}
		for _, o := range page.Contents {
			if !strings.HasSuffix(o.Key, "/") {
				all[o.Key] = true
			}
		}
		if page.NextContinuationToken == "" {
			return all
		}
		q.Set("continuation-token", page.NextContinuationToken)
	}
}

// checkAudit checks that the audit log has each deleted file once, and no other file.
func (w *world) checkAudit(t testing.TB, before, rest map[string]bool) {
	t.Helper()
	deleted := map[string]int{}
	for cursor := ""; ; {
		a, _, err := w.owner.retry(t.Context(), w.up(), request{
			method: http.MethodGet, path: "/api/v1/storage/audit?limit=100&cursor=" + url.QueryEscape(cursor),
		})
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Entries []struct {
				Files []struct {
					Path    string
					Deleted bool
				}
			}
		}
		decode(t, a, &page)
		for _, e := range page.Entries {
			for _, f := range e.Files {
				if f.Deleted {
					deleted[f.Path]++
				}
			}
		}
		if cursor = a.Meta.NextCursor; cursor == "" {
			break
		}
	}
	problems := 0
	for path := range before {
		want := 1
		if rest[path] {
			want = 0
		}
		if deleted[path] != want {
			if problems++; problems <= 10 {
				t.Errorf("%q is in the audit log as deleted %d times, want %d", path, deleted[path], want)
			}
		}
	}
	if problems > 10 {
		t.Error(fmt.Sprint("and ", problems-10, " more"))
	}
}
