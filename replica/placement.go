package replica

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Copies is the number of desired replicas of a shard, if there are as many nodes.
const Copies = 3

// placement returns the nodes that should hold a destination's shard: those that rank first
// by a hash of both names (rendezvous hashing). Every node computes the same result alone,
// and a node that joins or leaves moves only its share of the shards.
func placement(destination string, nodes []string) []string {
	ranked := ranking(destination, nodes)
	return ranked[:min(Copies, len(ranked))]
}

// ranking returns nodes in an order that depends on key and is the same on all nodes.
func ranking(key string, nodes []string) []string {
	weight := func(node string) uint64 { return xxhash.Sum64String(key + "\x00" + node) }
	return slices.SortedFunc(slices.Values(nodes), func(a, b string) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a, b))
	})
}

// A nodeSet is the cluster as this node sees it. The zero value stands for a node that stays
// alone or is not a member: nothing is decided about replicas.
type nodeSet struct {
	// counted are the nodes that are alive, or were within the grace period.
	counted []string
	alive   map[string]bool
}

// nodes returns the current nodes.
func (r *Replicator) nodes(now time.Time) nodeSet {
	if r.config.Peers == nil {
		return nodeSet{}
	}
	g := nodeSet{alive: map[string]bool{}}
	members := r.config.Peers.Members()
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[string]time.Time, len(members))
	for _, m := range members {
		last, known := r.seen[m.ID]
		if m.Alive || !known {
			last = now
		}
		seen[m.ID] = last
		if m.Alive {
			g.alive[m.ID] = true
		}
		if m.Alive || now.Sub(last) < r.config.Grace {
			g.counted = append(g.counted, m.ID)
		}
	}
	r.seen = seen // a node that left is new when it returns
	if !g.alive[r.config.Node] {
		return nodeSet{}
	}
	return g
}

// desired returns the nodes that should hold a destination's shard.
func (g nodeSet) desired(destination string) []string { return placement(destination, g.counted) }

// away returns the nodes that are not alive, but were within the grace period.
func (g nodeSet) away() []string {
	return slices.DeleteFunc(slices.Clone(g.counted), func(node string) bool { return g.alive[node] })
}

// others returns the nodes that are alive, except one.
func (g nodeSet) others(self string) []string {
	others := slices.Sorted(maps.Keys(g.alive))
	return slices.DeleteFunc(others, func(node string) bool { return node == self })
}

// replicated reports whether all desired nodes are alive and hold a result, so that other
// nodes need not.
func (g nodeSet) replicated(res *result, desired []string) bool {
	return len(desired) > 0 && !slices.ContainsFunc(desired, func(node string) bool { return !g.alive[node] || !res.hasHolder(node) })
}
