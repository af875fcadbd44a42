package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// afterChange is the time from a change in the catalog to the next pass while a sync
	// runs, so that many changes are handled at once.
	afterChange = 50 * time.Millisecond
	// idleShare is how many times the duration of a pass the replicator then waits at least.
	idleShare = 4
	// maxDeltas bounds the deltas that are applied at once.
	maxDeltas = 256
)

// A Proposer proposes a command to the catalog. It returns when the command is applied on
// this node, or the reason why it is not.
type Proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

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

// New returns a replicator. Run keeps all shards current; View updates one.
func New(c Config) *Replicator {
	c.Grace, c.Timing = cmp.Or(c.Grace, defaultGrace), c.Timing.withDefaults()
	return &Replicator{
		config: c, slots: semaphore.NewWeighted(fetchStreams),
		shards: map[string]*shardState{}, seen: map[string]time.Time{}, fetches: map[string]*fetchJob{},
	}
}

// ErrUnavailable is returned by View for a shard that exists and cannot be read now: a
// segment was set aside, or the disk has no room for the changes.
var ErrUnavailable = errors.New("the index of the destination cannot be read at the moment")

// View returns a view of a destination's shard that has all changes in the catalog of this
// node at the time of the call. The caller releases it. The error is index.ErrNoShard before
// the first generation and where only other nodes have the shard, else it wraps
// ErrUnavailable.
func (r *Replicator) View(_ context.Context, destination string) (*index.View, error) {
	view, err := (*index.View)(nil), r.update(destination, false)
	if err == nil {
		view, err = r.config.Index.View(destination)
	}
	if err != nil && !errors.Is(err, index.ErrNoShard) {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return view, err
}

// Run reconciles all shards until ctx ends: it fetches desired replicas and removes others.
// A damaged shard is fetched again; when no node has it, its destination is synced.
func (r *Replicator) Run(ctx context.Context) error {
	defer r.work.Wait()
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	for {
		changed, woken := r.config.Catalog.Changed(), r.wake.Wait()
		started := time.Now()
		syncing, err := r.reconcile(ctx)
		took := time.Since(started)
		if err != nil && ctx.Err() == nil {
			r.config.Logger.Error("updating the shards of this node failed; retrying in a second", "error", err)
		}
		if !syncing {
			changed = nil // only sealed segments are urgent
		}
		select {
		case <-changed:
			select {
			case <-time.After(max(afterChange, idleShare*took)):
			case <-woken:
			case <-ctx.Done():
			}
		case <-woken:
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reconcile makes one pass over all shards. It reports whether a sync runs.
func (r *Replicator) reconcile(ctx context.Context) (syncing bool, err error) {
	var all []*pb.Destination
	if err := r.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		running, err := tx.RunningSyncs()
		if err != nil {
			return err
		}
		syncing = len(running) > 0
		all, err = tx.AllDestinations()
		return err
	}); err != nil {
		return false, err
	}
	nodes := r.nodes(time.Now())
	r.mu.Lock()
	r.passes++
	r.mu.Unlock()
	known := map[string]bool{}
	var errs []error
	var changes []*pb.SetHolder
	for _, d := range all {
		known[d.Id] = true
		more, err := r.reconcileShard(ctx, d, nodes)
		errs, changes = append(errs, err), append(changes, more...)
	}
	r.cancelFetches()
	held, err := r.config.Index.Destinations()
	if err != nil {
		return syncing, err
	}
	for _, id := range held {
		if !known[id] {
			errs = append(errs, r.update(id, true))
		}
	}
	// Last, because it takes long without a leader.
	errs = append(errs, r.announce(ctx, changes))
	return syncing, errors.Join(errs...)
}

// reconcileShard brings one shard up to date and returns the changes to announce.
func (r *Replicator) reconcileShard(ctx context.Context, d *pb.Destination, nodes nodeSet) (changes []*pb.SetHolder, err error) {
	results, err := r.results(d.Id)
	if err != nil {
		return nil, fmt.Errorf("read the generations of destination %s: %w", d.Id, err)
	}
	updateErr := r.update(d.Id, true)
	if len(nodes.counted) > 0 {
		if changes, err = r.replicate(ctx, d, results, nodes); err != nil {
			return changes, err
		}
	}
	if updateErr == nil || r.isFetchable(updateErr) {
		return changes, r.collect(d, nodes)
	}
	for _, res := range results {
		if res.promoted && needsResync(updateErr) {
			return changes, r.resync(ctx, d, res.id, updateErr)
		}
	}
	return changes, updateErr
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
