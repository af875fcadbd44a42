package replica

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	pb "firescan/catalog/catalogpb"
)

const (
	// Copies is on how many nodes a shard lies, where there are as many.
	Copies = 3
	// usualGrace is how long a node may be away before others hold its shards in its place: a
	// restart takes less, and copying a shard costs more than waiting.
	usualGrace = time.Minute
)

// ErrNotHeld is returned by Replicas.Fetch when the node answers that it has no such segment.
var ErrNotHeld = errors.New("the node does not have the segment")

// Member is a node of the group.
type Member struct {
	ID    string
	Alive bool
}

// Replicas are the shards of the other nodes. They are used by many goroutines at once.
type Replicas interface {
	// Members lists the nodes of the group; this one is among them unless it is about to join
	// or has been removed.
	Members() []Member
	// Fetch copies a segment of a destination from another node into this one's index. It goes
	// on where an earlier copy was broken off. ErrNotHeld when that node answers that it does
	// not have it, or not undamaged; any other error says nothing about that.
	Fetch(ctx context.Context, node, destination string, s *pb.Segment) error
	// Held tells which of the segments a node has, in their order; an error is that it cannot
	// be asked.
	Held(ctx context.Context, node, destination string, segments []string) ([]bool, error)
}

// placement says which nodes are to hold a destination's shard: the ones that win among
// all by a hash of both names (rendezvous hashing), so that every node comes to the same
// answer alone, and a node that comes or goes moves its share of the shards only.
func placement(destination string, nodes []string) []string {
	ranked := ranking(destination, nodes)
	return ranked[:min(Copies, len(ranked))]
}

// ranking puts nodes into an order that is another one for each key, and the same on all.
func ranking(key string, nodes []string) []string {
	weight := func(node string) uint64 { return xxhash.Sum64String(key + "\x00" + node) }
	return slices.SortedFunc(slices.Values(nodes), func(a, b string) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a, b))
	})
}

// company is the nodes as this one sees them. The zero value is that of a node which stays
// alone, or does not belong to the group: then nothing is decided about copies.
type company struct {
	// counted are those that are there, or were not long ago.
	counted []string
	alive   map[string]bool
}

// nodes looks who is there.
func (k *Keeper) nodes(now time.Time) company {
	if k.Replicas == nil {
		return company{}
	}
	g := company{alive: map[string]bool{}}
	members := k.Replicas.Members()
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := make(map[string]time.Time, len(members))
	for _, m := range members {
		last, known := k.seen[m.ID]
		if m.Alive || !known {
			last = now
		}
		seen[m.ID] = last
		if m.Alive {
			g.alive[m.ID] = true
		}
		if m.Alive || now.Sub(last) < k.Grace {
			g.counted = append(g.counted, m.ID)
		}
	}
	k.seen = seen // who has left is a stranger when it comes again
	if !g.alive[k.Node] {
		return company{}
	}
	return g
}

// wanted are the nodes that are to hold a destination's shard.
func (g company) wanted(destination string) []string { return placement(destination, g.counted) }

// away lists the nodes that are not there, but were not long ago.
func (g company) away() []string {
	return slices.DeleteFunc(slices.Clone(g.counted), func(node string) bool { return g.alive[node] })
}

// others lists those that are there, apart from one.
func (g company) others(self string) []string {
	others := slices.Sorted(maps.Keys(g.alive))
	return slices.DeleteFunc(others, func(node string) bool { return node == self })
}
