package systemtest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// TestKilledInMidScan kills nodes while they scan a bucket together: the leader, one
// that does not lead, and one that holds the shard that others read. The sync must come to
// its end with what an undisturbed one finds.
func TestKilledInMidScan(t *testing.T) {
	// A cluster of four, of which three hold a shard.
	// Of four nodes three hold a shard. Pages are small beside what a stream loses with its node.
	c := newCluster(t, settings{nodes: 4, flags: []string{"--scan-streams", pick("4", "16")}})
	latency := 40 * time.Millisecond
	if raced && !long {
		latency = 100 * time.Millisecond
	}
	w := c.newWorld(t, bucketserver.Tree, pick(few(40_000, 200_000), 1_000_000), bucketserver.Options{PageSize: 100, Latency: latency})
	w.undisturbed(t)
	want := w.right(t)
	w.undisturbed(t) // it is planned by what the first one found
	var elections, writes times
	var listed shares
	victims := []struct {
		name string
		pick func() *node
	}{
		{"leader", func() *node { return c.leader(t) }},
		{"worker", func() *node { return c.follower(t) }},
		{"holder", func() *node { return c.holder(t, w) }},
	}
	for round := range pick(1, 20) {
		for _, v := range victims {
			t.Run(fmt.Sprintf("%s %d", v.name, round+1), func(t *testing.T) {
				victim := v.pick()
				leads := victim == c.leader(t)
				before := w.served()
				w.listing.forget()
				sync := w.begin(t)
				at := 0.1 + 0.7*rand.Float64()
				w.listed(t, before, at)
				killed := time.Now()
				victim.kill(t)
				if leads {
					elections.add(await(t, "another node leads", 3*electionLimit, func() bool {
						return c.leaderAmong(t.Context(), c.up()) != nil
					}))
				}
				w.must(t, w.service, asked{
					method: http.MethodPut, path: "/api/v1/catalog/projects/alive", within: time.Second, body: map[string]string{"id": "alive", "name": "alive"},
				}, nil)
				if leads {
					writes.add(time.Since(killed))
				}
				r := w.finish(t, sync)
				share := w.listing.again(w.keys.Len(), killed)
				listed.add(share)
				t.Logf("killed %s at %.0f %%; the sync took %v, %.2f %% of the keys were listed again; it was %d keys in all", victim.id,
					100*at, r.FinishedAt.Sub(r.StartedAt), 100*share, w.served()-before)
				w.same(t, want)
				victim.start(t)
				c.serves(t, victim)
				c.voters(t, patience, c.nodes...)
			})
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("new leader after a kill: %v", &elections)
	t.Logf("first write after a kill of the leader: %v", &writes)
	t.Logf("keys listed again: %v", &listed)
	if listed.most() > 0.5 {
		t.Error("a kill cost half of the scan and more")
	}
}

// electionLimit is what is promised.
const electionLimit = 5 * time.Second

// served is how many keys the bucket has listed so far.
func (w *world) served() uint64 { return w.bucket.Counts().Keys }

// undisturbed syncs and tells how many keys were listed for it, some of them twice: two
// streams may ask for the same ones before they part.
func (w *world) undisturbed(t testing.TB) {
	t.Helper()
	before := w.served()
	w.listing.forget()
	r := w.sync(t)
	t.Logf("undisturbed: %v, %d keys listed of %d; of those of the first half %.2f %% once more in the second", r.FinishedAt.Sub(r.StartedAt),
		w.served()-before, w.keys.Len(), 100*w.listing.again(w.keys.Len(), w.listing.middle()))
}

// holder is a node that holds a shard and does not lead.
func (c *cluster) holder(t testing.TB, w *world) (holder *node) {
	t.Helper()
	leader := c.leader(t)
	await(t, "a node that does not lead holds the shard", patience, func() bool {
		for _, i := range rand.Perm(len(c.nodes)) {
			holder = c.nodes[i]
			if _, err := w.own(t.Context(), holder); err == nil && holder != leader {
				return true
			}
		}
		return false
	})
	return holder
}
