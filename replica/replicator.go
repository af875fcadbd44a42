package replica

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

const (
	// reconcileEvery is the time between two passes when nothing changes. A reader that
	// comes earlier brings its shard up to date itself.
	reconcileEvery = time.Second
	// defaultGrace is how long a node may be away before its replicas are placed elsewhere:
	// a restart takes less, and copying a shard costs more than waiting.
	defaultGrace = time.Minute
	// fetchStreams bounds the segments that this node fetches at once.
	fetchStreams = 16
)

// A Proposer proposes a command to the catalog. It returns when the command is applied on
// this node, or the reason why it is not.
type Proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// A Member is a node of the cluster.
type Member struct {
	ID    string
	Alive bool
}

// Peers gives access to the shards of other nodes. It is safe for concurrent use.
type Peers interface {
	// Members returns the nodes of the cluster. This node is among them unless it is about to
	// join or was removed.
	Members() []Member
	// Fetch copies a segment of a destination from another node into the index of this node.
	// It resumes an interrupted copy. The error is ErrNoSegment when the node responds that
	// it does not have an undamaged copy; after any other error it may have one.
	Fetch(ctx context.Context, node, destination string, s *pb.Segment) error
	// Held reports which of the segments a node has, in their order. An error means that the
	// node cannot be asked.
	Held(ctx context.Context, node, destination string, segments []string) ([]bool, error)
}

// ErrNoSegment is returned by Peers.Fetch when the node responds that it does not have the
// segment.
var ErrNoSegment = errors.New("the node does not have the segment")

// Config configures a Replicator.
type Config struct {
	// Node is the id of this node. It may be empty without Peers.
	Node     string
	Catalog  *catalog.Catalog
	Index    *index.Store
	Proposer Proposer
	// Peers gives access to the shards of other nodes; nil for a node that stays alone.
	Peers Peers
	// Grace is how long a node may be away before other nodes replace its replicas. The
	// default is a minute.
	Grace time.Duration
	// Timing has a default for each zero field.
	Timing Timing
	Logger *slog.Logger
}

// Timing bounds how long the replicator waits for other nodes.
type Timing struct {
	// Retry is the time after a failed fetch until the next one. It doubles up to MaxRetry
	// while no segment arrives. After a full disk it is MaxRetry at once.
	Retry, MaxRetry time.Duration
	// AllReplicas is the time for all desired replicas to hold the result of a sync, once
	// one does.
	AllReplicas time.Duration
	// Return is the time for a node that is away, or does not respond, and may have what no
	// other node has.
	Return time.Duration
	// Stuck is the time without progress after which a sync fails.
	Stuck time.Duration
}

// withDefaults returns t with the default for each zero field.
func (t Timing) withDefaults() Timing {
	return Timing{
		Retry:       cmp.Or(t.Retry, time.Second),
		MaxRetry:    cmp.Or(t.MaxRetry, 30*time.Second),
		AllReplicas: cmp.Or(t.AllReplicas, 15*time.Second),
		Return:      cmp.Or(t.Return, 5*time.Second),
		Stuck:       cmp.Or(t.Stuck, 2*time.Minute),
	}
}

// A Replicator keeps the shards of a node in the state that the catalog describes: at the
// promoted generation, with the deltas after it. It is safe for concurrent use.
type Replicator struct {
	config Config
	slots  *semaphore.Weighted // of fetches
	work   sync.WaitGroup
	wake   catalog.Signal

	mu      sync.Mutex
	shards  map[string]*shardState
	seen    map[string]time.Time // when a node was last alive
	passes  uint64
	fetches map[string]*fetchJob // by sync
}

// shardState is the state of one shard on this node.
type shardState struct {
	mu sync.Mutex
	// current is the catalog index up to which the shard is known to be current.
	current atomic.Uint64
	// promoted is set while there is a generation: the index must have it open, or it was
	// found damaged meanwhile.
	promoted atomic.Bool
	// failed is why the generation could not be opened, and when, so that not each reader
	// of a damaged shard reads its files again.
	failed     error
	failedAt   time.Time
	failedOf   string // the generation
	incomplete string // the generation of which segments were missing when last checked
	// received is set when segments have arrived from another node.
	received  atomic.Bool
	collected need // what was needed when files were last collected
}

// need is the syncs whose segments are needed; empty for none.
type need struct {
	promoted, running string
	// newest is the newest sync: one that began and ended since the last collection has
	// leftovers, too.
	newest string
	// surplus reports that the promoted segments are not needed here: all desired nodes hold
	// them, this is none of them, and the catalog does not list it as a holder.
	surplus bool
}

// fetchJob fetches the missing segments of a result. It is guarded by Replicator.mu.
type fetchJob struct {
	pass   uint64             // the newest pass that needed it
	cancel context.CancelFunc // nil while it waits for its next attempt
	next   time.Time
	fails  int    // consecutive attempts without a new segment
	left   uint64 // fingerprint of the segments that the last attempt left
	full   bool   // the disk was full
}

// New returns a replicator. Run keeps all shards current; View updates one.
func New(c Config) *Replicator {
	c.Grace, c.Timing = cmp.Or(c.Grace, defaultGrace), c.Timing.withDefaults()
	return &Replicator{
		config: c, slots: semaphore.NewWeighted(fetchStreams),
		shards: map[string]*shardState{}, seen: map[string]time.Time{}, fetches: map[string]*fetchJob{},
	}
}

func (r *Replicator) state(destination string) *shardState {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.shards[destination]
	if s == nil {
		s = &shardState{}
		r.shards[destination] = s
	}
	return s
}
