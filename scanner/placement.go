package scanner

import (
	"cmp"
	"context"
	"errors"
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

// Replicas are the shards of the other nodes.
type Replicas interface {
	// Members lists the nodes of the group, this one included.
	Members() []Member
	// Fetch copies a segment of a destination from a node into this one's index; ErrNotHeld
	// when that node does not have it.
	Fetch(ctx context.Context, node, destination string, s *pb.Segment) error
	// Held tells whether a node has a segment; an error is that it cannot be asked.
	Held(ctx context.Context, node, destination, segment string) (bool, error)
}

// placement says which nodes are to hold a destination's shard: the ones that win among
// all by a hash of both names (rendezvous hashing), so that every node comes to the same
// answer alone, and a node that comes or goes moves its share of the shards only.
func placement(destination string, nodes []string) []string {
	weight := func(node string) uint64 { return xxhash.Sum64String(destination + "\x00" + node) }
	byWeight := slices.SortedFunc(slices.Values(nodes), func(a, b string) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a, b))
	})
	return byWeight[:min(Copies, len(byWeight))]
}

// company is the nodes as this one sees them.
type company struct {
	// counted are those that are there, or were not long ago.
	counted []string
	alive   map[string]bool
}

// nodes looks who is there.
func (k *Keeper) nodes(now time.Time) company {
	g := company{alive: map[string]bool{}}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.Replicas.Members() {
		if m.Alive || k.seen[m.ID].IsZero() {
			k.seen[m.ID] = now
		}
		if m.Alive {
			g.alive[m.ID] = true
		}
		if m.Alive || now.Sub(k.seen[m.ID]) < k.Grace {
			g.counted = append(g.counted, m.ID)
		}
	}
	return g
}

// wanted are the nodes that are to hold a destination's shard.
func (g company) wanted(destination string) []string { return placement(destination, g.counted) }

// away tells whether a node is not there, but was not long ago.
func (g company) away(node string) bool { return !g.alive[node] && slices.Contains(g.counted, node) }
