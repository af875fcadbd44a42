package replica

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPlacement checks that all nodes compute the same placement, and that a node that joins
// or leaves moves only its own shards.
func TestPlacement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9-]{1,12}`), 1, 12, rapid.ID).Draw(t, "nodes")
		destination := rapid.StringMatching(`storage_[A-Z0-9]{1,8}`).Draw(t, "destination")
		placed := placement(destination, nodes)
		if len(placed) != min(Copies, len(nodes)) {
			t.Fatalf("%d of %d nodes", len(placed), len(nodes))
		}
		for i, n := range placed {
			if !slices.Contains(nodes, n) || slices.Contains(placed[:i], n) {
				t.Fatalf("placed on %v", placed)
			}
		}
		if other := placement(destination, rapid.Permutation(nodes).Draw(t, "order")); !slices.Equal(other, placed) {
			t.Fatalf("in another order %v, not %v", other, placed)
		}
		gone := rapid.SampledFrom(nodes).Draw(t, "gone")
		rest := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return n == gone })
		after := placement(destination, rest)
		for _, n := range placed {
			if n != gone && !slices.Contains(after, n) {
				t.Fatalf("%s went, and %s lost the shard", gone, n)
			}
		}
		if !slices.Contains(placed, gone) && !slices.Equal(after, placed) {
			t.Fatalf("%s, which had nothing, went: %v became %v", gone, placed, after)
		}
	})
}

// TestPlacementIsBalanced checks the balance over nodes with common names.
func TestPlacementIsBalanced(t *testing.T) {
	for _, names := range []string{"node-%d", "n%d", "firescan-%d.firescan.backup.svc", "10.0.0.%d"} {
		var nodes []string
		for i := range 10 {
			nodes = append(nodes, fmt.Sprintf(names, i))
		}
		const shards = 10_000
		has := map[string]int{}
		for i := range shards {
			for _, n := range placement(fmt.Sprintf("storage_%d", i), nodes) {
				has[n]++
			}
		}
		for n, count := range has {
			if share := float64(count) / (Copies * shards / float64(len(nodes))); math.Abs(share-1) > 0.1 {
				t.Errorf("%s has %.2f of its share", n, share)
			}
		}
	}
}

// TestNodes checks which nodes count during and after the grace period.
func TestNodes(t *testing.T) {
	s := newTestCluster(t, 3)
	k := s.nodes[0].replicator
	k.config.Grace = time.Minute
	now := time.Unix(1e9, 0)
	see := func(want ...string) {
		t.Helper()
		if g := k.nodes(now); !slices.Equal(g.counted, want) {
			t.Errorf("counted: %v, want %v", g.counted, want)
		}
	}
	see("node0", "node1", "node2")
	s.nodes[1].stop()
	see("node0", "node1", "node2")
	if away := k.nodes(now).away(); !slices.Equal(away, []string{"node1"}) {
		t.Errorf("away: %v", away)
	}
	now = now.Add(59 * time.Second)
	see("node0", "node1", "node2")
	now = now.Add(time.Second)
	see("node0", "node2")
	s.nodes[1].update()
	see("node0", "node1", "node2")

	// A removed node does not count, and is new when it returns.
	s.nodes[1].left = true
	see("node0", "node2")
	now = now.Add(time.Hour)
	s.nodes[1].left = false
	s.nodes[1].stop()
	see("node0", "node1", "node2")

	// A node that is no member decides nothing.
	s.nodes[0].left = true
	see()
}
