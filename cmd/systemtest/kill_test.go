package systemtest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// TestKillDuringScan kills nodes during a scan: the leader, a follower, and a node that
// has a replica of the shard. The sync must end with the result of an undisturbed sync.
func TestKillDuringScan(t *testing.T) {
	// Three of the four nodes have a replica. Pages are small compared to the work that a
	// stream loses with its node.
	c := newCluster(t, settings{nodes: 4, flags: []string{"--scan-streams", pick("4", "16")}})
	latency := 40 * time.Millisecond
	if raceEnabled && !long {
		latency = 100 * time.Millisecond
	}
	w := c.newWorld(t, bucketserver.Tree, pick(few(40_000, 200_000), 1_000_000), bucketserver.Options{PageSize: 100, Latency: latency})
	w.undisturbed(t)
	want := w.verify(t)
	w.undisturbed(t) // planned by the result of the first one
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
				before := w.keysListed()
				w.listing.reset()
				sync := w.startSync(t)
				at := 0.1 + 0.7*rand.Float64()
				w.awaitListed(t, before, at)
				killed := time.Now()
				victim.kill(t)
				if leads {
					elections.add(await(t, "there is a new leader", 3*electionLimit, func() bool {
						return c.leaderAmong(t.Context(), c.up()) != nil
					}))
				}
				w.must(t, w.service, request{
					method: http.MethodPut, path: "/api/v1/catalog/projects/alive", timeout: time.Second, body: map[string]string{"id": "alive", "name": "alive"},
				}, nil)
				if leads {
					writes.add(time.Since(killed))
				}
				r := w.awaitSync(t, sync)
				share := w.listing.relisted(w.keys.Len(), killed)
				listed.add(share)
				t.Logf("killed %s at %.0f %%; the sync took %v, %.2f %% of the keys were listed again; it was %d keys in all", victim.id,
					100*at, r.FinishedAt.Sub(r.StartedAt), 100*share, w.keysListed()-before)
				w.verifySum(t, want)
				victim.start(t)
				c.awaitReady(t, victim)
				c.awaitVoters(t, patience, c.nodes...)
			})
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("new leader after a kill: %v", &elections)
	t.Logf("first write after a kill of the leader: %v", &writes)
	t.Logf("keys listed again: %v", &listed)
	if listed.max() > 0.5 {
		t.Error("a kill cost more than half of the scan")
	}
}

// electionLimit is the promised maximum duration of an election.
const electionLimit = 5 * time.Second

// keysListed returns how many keys the bucket has listed so far.
func (w *world) keysListed() uint64 { return w.bucket.Counts().Keys }

// undisturbed syncs without faults and logs how many keys were listed, some of them
// twice: two streams may request the same keys before their ranges are split.
func (w *world) undisturbed(t testing.TB) {
	t.Helper()
	before := w.keysListed()
	w.listing.reset()
	r := w.sync(t)
	t.Logf("undisturbed: %v, %d keys listed of %d; %.2f %% of the first half were listed again in the second", r.FinishedAt.Sub(r.StartedAt),
		w.keysListed()-before, w.keys.Len(), 100*w.listing.relisted(w.keys.Len(), w.listing.halfTime()))
}

// holder returns a follower with a replica of the shard.
func (c *cluster) holder(t testing.TB, w *world) (holder *node) {
	t.Helper()
	leader := c.leader(t)
	await(t, "a follower has a replica of the shard", patience, func() bool {
		for _, i := range rand.Perm(len(c.nodes)) {
			holder = c.nodes[i]
			if _, err := w.exportLocal(t.Context(), holder); err == nil && holder != leader {
				return true
			}
		}
		return false
	})
	return holder
}
