package replica

import (
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
	// lookEvery is how often the keeper looks for changes on its own. A reader
	// that comes earlier is served the changes then.
	lookEvery = time.Second
	// afterChange is how long after a change in the catalog the keeper looks while a sync
	// runs, so that many changes are looked at once.
	afterChange = 50 * time.Millisecond
	// restShare is how many times as long as a look takes the keeper then waits at least.
	restShare = 4
	// deltasAtOnce bounds how many deltas are applied in one go.
	deltasAtOnce = 256
)

// Proposer brings a command into the catalog. It returns when the command is applied on
// this node, or the reason why it is not.
type Proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// KeeperConfig is what a Keeper needs.
type KeeperConfig struct {
	// Node is the name of this node.
	Node     string
	Catalog  *catalog.Catalog
	Index    *index.Store
	Proposer Proposer
	// Replicas are the other nodes' shards, and need the node's name; nil is a node that
	// stays alone.
	Replicas Replicas
	// Grace is how long a node may be away before others hold its shards; 0 is a minute.
	Grace  time.Duration
	Waits  Waits // the zero value is the default
	Logger *slog.Logger
}

// Keeper keeps the shards of a node as the catalog says: at the promoted generation,
// with the deltas after it. It is safe for concurrent use.
type Keeper struct {
	KeeperConfig
	waits Waits
	slots *semaphore.Weighted // of pulls
	work  sync.WaitGroup
	wake  catalog.Signal

	mu     sync.Mutex
	shards map[string]*shardState
	seen   map[string]time.Time // when a node was last there
	looks  uint64
	pulls  map[string]*pull // by sync
}

// shardState is how far a shard has come.
type shardState struct {
	mu sync.Mutex
	// current is the catalog index that the shard was last seen to agree with.
	current atomic.Uint64
	// promoted is set while there is a generation: then the index must have it, or it
	// was found damaged meanwhile.
	promoted atomic.Bool
	// failed is why the generation could not be promoted, and when, so that readers of a
	// damaged shard do not have its files read again each.
	failed   error
	failedAt time.Time
	failedOf string // the generation
	// lacking is the generation of which this node was last seen not to have everything.
	lacking string
	// stirred is set when segments have come from another node.
	stirred atomic.Bool
	swept   need // what was needed when the files were last swept
}

// NewKeeper makes a keeper. Run keeps the shards up to date; View does for one.
func NewKeeper(c KeeperConfig) *Keeper {
	if c.Grace == 0 {
		c.Grace = usualGrace
	}
	if c.Waits == (Waits{}) {
		c.Waits = usualWaits
	}
	return &Keeper{
		KeeperConfig: c, slots: semaphore.NewWeighted(pullStreams),
		shards: map[string]*shardState{}, seen: map[string]time.Time{}, pulls: map[string]*pull{},
	}
}

// ErrUnavailable is returned by View for a shard that exists and cannot be read now: a
// segment was set aside, or the disk has no room for the changes.
var ErrUnavailable = errors.New("the index of the destination cannot be read at the moment")

// View returns a reader of a destination's shard that has all changes in the catalog of
// this node at the time of the call. The caller releases it. Its error is index.ErrNoShard
// before the first generation and where only other nodes have the shard, else it wraps
// ErrUnavailable.
func (k *Keeper) View(_ context.Context, destination string) (*index.View, error) {
	view, err := (*index.View)(nil), k.catchUp(destination, false)
	if err == nil {
		view, err = k.Index.View(destination)
	}
	if err != nil && !errors.Is(err, index.ErrNoShard) {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return view, err
}

// Run keeps all shards up to date until ctx ends: it holds copies of those that are to lie
// here, and lets go of others. What is damaged is fetched again; when nobody has it, a new
// sync of the destination is started.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.work.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		changed, woken := k.Catalog.Changed(), k.wake.Wait()
		began := time.Now()
		syncing, err := k.look(ctx)
		took := time.Since(began)
		if err != nil && ctx.Err() == nil {
			k.Logger.Error("the shards of this node could not be brought up to date; tried again in a second", "error", err)
		}
		if !syncing {
			changed = nil // what a sync seals is wanted at once, all else can wait
		}
		select {
		case <-changed:
			// Many changes are looked at together, and looking is no large part of the work.
			select {
			case <-time.After(max(afterChange, restShare*took)):
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

// look brings all shards up to date once, and tells whether a sync runs.
func (k *Keeper) look(ctx context.Context) (syncing bool, err error) {
	var all []*pb.Destination
	if err := k.Catalog.View(func(tx *catalog.Tx) (err error) {
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
	nodes := k.nodes(time.Now())
	k.mu.Lock()
	k.looks++
	k.mu.Unlock()
	known := map[string]bool{}
	var errs []error
	var news []*pb.SetHolder
	for _, d := range all {
		known[d.Id] = true
		more, err := k.tend(ctx, d, nodes)
		errs, news = append(errs, err), append(news, more...)
	}
	k.forgetPulls()
	held, err := k.Index.Destinations()
	if err != nil {
		return syncing, err
	}
	for _, id := range held {
		if !known[id] {
			errs = append(errs, k.catchUp(id, true))
		}
	}
	// Last, for without a leader it takes long.
	errs = append(errs, k.tell(ctx, news))
	return syncing, errors.Join(errs...)
}

// tend brings one shard up to date, and answers what the others are to be told of it.
func (k *Keeper) tend(ctx context.Context, d *pb.Destination, nodes company) (news []*pb.SetHolder, err error) {
	results, err := k.results(d.Id)
	if err != nil {
		return nil, fmt.Errorf("read what there is of destination %s: %w", d.Id, err)
	}
	behind := k.catchUp(d.Id, true)
	if len(nodes.counted) > 0 {
		if news, err = k.replicate(ctx, d, results, nodes); err != nil {
			return news, err
		}
	}
	if behind == nil || k.mended(behind) {
		return news, k.sweep(d, nodes)
	}
	for _, r := range results {
		if r.promoted && beyondRepair(behind) {
			return news, k.rescue(ctx, d, r.id, behind)
		}
	}
	return news, behind
}

func (k *Keeper) state(destination string) *shardState {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.shards[destination]
	if s == nil {
		s = &shardState{}
		k.shards[destination] = s
	}
	return s
}
