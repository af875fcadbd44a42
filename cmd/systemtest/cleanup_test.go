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

// TestKilledInMidDelete kills the node that deletes orphans while it does. When all has
// settled, each file is gone from the bucket, from the index and on record as deleted, or
// is still there in both; and no file that a backup needs is missing.
func TestKilledInMidDelete(t *testing.T) {
	const latency = 40 * time.Millisecond
	c := newCluster(t, settings{nodes: 3})
	for round := range pick(1, 20) {
		keys, most := few(3000, 6000), int64(1) // files a request
		batches := round%2 == 1
		if batches {
			keys, most = 25_000, 1000
		}
		w := c.newWorldOf(t, bucketserver.Skewed, keys, 0.4, bucketserver.Options{Latency: latency})
		w.noBatches = !batches
		w.sync(t)
		c.whole(t, w, c.nodes...)
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
			_, _ = w.owner.ask(t.Context(), victim, cleanup(w)) // it will be killed
		})
		// The first requests find out whether the bucket honours conditions.
		const probes = 4
		requests := probes + int64((0.1+0.8*rand.Float64())*float64(orphans)/float64(most))
		await(t, "some orphans are deleted", patience, func() bool { return w.deletes.Load() >= requests })
		time.Sleep(time.Duration(rand.Int64N(int64(latency))))
		victim.kill(t)
		cleaning.Wait()
		killed := time.Now()
		rest := w.inBucket(t)
		t.Logf("%s (leading: %v) was killed after %d requests to delete; %d of %d orphans were gone", victim.id, led, w.deletes.Load(), len(before)-len(rest), orphans)
		victim.start(t)
		c.serves(t, victim)
		if round%2 == 0 {
			// As leader it knows at once that nobody deletes any more what it had begun; another
			// one waits for minutes, since the node might only be cut off.
			c.lead(t, victim)
		}
		var odd []string
		await(t, "what was left open is settled", 4*time.Minute, func() bool {
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
					t.Fatalf("%q is in the bucket and not in the index", path)
				}
			}
			time.Sleep(300 * time.Millisecond)
			return len(odd) == 0
		})
		t.Logf("all was settled after %v; %d are gone", time.Since(killed).Round(time.Millisecond), len(before)-len(rest))
		for path := range linked {
			if !rest[path] {
				t.Errorf("%q was needed and is gone", path)
			}
		}
		w.onRecord(t, before, rest)

		// Somebody cleans up again, and that comes to its end.
		c.must(t, w.owner, cleanup(w), nil)
		if rest := w.inBucket(t); len(rest) != len(linked) {
			t.Errorf("%d files are left, %d are needed", len(rest), len(linked))
		}
		for _, n := range c.nodes {
			shown := 0
			w.mustExport(t, n, func(*file) { shown++ })
			if shown != len(linked) {
				t.Errorf("%s shows %d files, there are %d", n.id, shown, len(linked))
			}
		}
		if t.Failed() {
			return
		}
	}
}

func cleanup(w *world) asked {
	return asked{method: http.MethodPost, path: w.path("/cleanup-orphans?includeUnknown=true"), within: 2 * time.Minute}
}

// lead has the leader stop while only the given node can take over.
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
		// Now the others lack something, so that the leader does not hand over to them.
		c.as(t, "behind", "viewer")
		leader.quit(t)
		for _, other := range behind {
			other.thaw(t)
		}
		leader.start(t)
		for _, n := range c.nodes {
			c.serves(t, n)
		}
	}
	t.Fatalf("%s does not come to lead", n.id)
}

// inBucket lists the bucket without firescan.
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

// onRecord checks that what is gone is on record as deleted, once, and nothing else.
func (w *world) onRecord(t testing.TB, before, rest map[string]bool) {
	t.Helper()
	deleted := map[string]int{}
	for cursor := ""; ; {
		a, _, err := w.owner.persist(t.Context(), w.up(), asked{
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
				t.Errorf("%q is on record as deleted %d times, want %d", path, deleted[path], want)
			}
		}
	}
	if problems > 10 {
		t.Error(fmt.Sprint("and ", problems-10, " more"))
	}
}
