package scanner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	// deltasAtOnce bounds how many deltas are applied in one go.
	deltasAtOnce = 256
)

// KeeperConfig is what a Keeper needs.
type KeeperConfig struct {
	// Node is the name of this node.
	Node     string
	Catalog  *catalog.Catalog
	Index    *index.Store
	Proposer Proposer
	// Replicas are the other nodes' shards; nil is a node that stays alone.
	Replicas Replicas
	// Grace is how long a node may be away before others hold its shards; 0 is a minute.
	Grace  time.Duration
	Logger *slog.Logger
}

// Keeper keeps the shards of a node as the catalog says: at the promoted generation,
// with the deltas after it. It is safe for concurrent use.
type Keeper struct {
	KeeperConfig
	mu      sync.Mutex
	shards  map[string]*shardState
	rescued map[string]string    // by destination, the damaged generation that a new sync was started for
	seen    map[string]time.Time // when a node was last there
	// pulling names the destinations of which segments are being copied here, pullAgain
	// when one is to be tried again.
	pulling   map[string]bool
	pullAgain map[string]time.Time
	work      sync.WaitGroup
	wake      signal
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
	swept    need   // what was needed when the files were last swept
}

// NewKeeper makes a keeper. Run keeps the shards up to date; View does for one.
func NewKeeper(c KeeperConfig) *Keeper {
	if c.Grace == 0 {
		c.Grace = usualGrace
	}
	return &Keeper{
		KeeperConfig: c, shards: map[string]*shardState{}, rescued: map[string]string{},
		seen: map[string]time.Time{}, pulling: map[string]bool{}, pullAgain: map[string]time.Time{},
	}
}

// View answers a reader of a destination's shard that has seen all changes which
// the catalog of this node had when it was called. The caller releases it.
// Errors: index.ErrNoShard before the first generation, and where other nodes have the
// shard; *index.CorruptError.
func (k *Keeper) View(_ context.Context, destination string) (*index.View, error) {
	if err := k.catchUp(destination); err != nil {
		return nil, err
	}
	return k.Index.View(destination)
}

// Run keeps all shards up to date until ctx ends: it holds copies of those that are to lie
// here, and lets go of others. What is damaged is fetched again; when nobody has it, a new
// sync of the destination is started, once for each generation.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.work.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		changed, woken := k.Catalog.Changed(), k.wake.wait()
		syncing, err := k.look(ctx)
		if err != nil && ctx.Err() == nil {
			k.Logger.Error("the shards of this node could not be brought up to date; tried again in a second", "error", err)
		}
		if !syncing {
			changed = nil // what a sync seals is wanted at once, all else can wait
		}
		select {
		case <-changed:
			select {
			case <-time.After(afterChange):
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
	var nodes company
	if k.Replicas != nil {
		nodes = k.nodes(time.Now())
	}
	known := map[string]bool{}
	var errs []error
	for _, d := range all {
		known[d.Id] = true
		if k.Replicas != nil {
			errs = append(errs, k.replicate(ctx, d, nodes))
		}
		if err := k.catchUp(d.Id); err != nil && !k.mended(err) {
			errs = append(errs, k.rescue(ctx, d, err))
			continue
		}
		errs = append(errs, k.sweep(d, nodes))
	}
	held, err := k.Index.Destinations()
	if err != nil {
		return syncing, err
	}
	for _, id := range held {
		if !known[id] {
			errs = append(errs, k.catchUp(id))
		}
	}
	return syncing, errors.Join(errs...)
}

// mended tells whether replicate sees to what is wrong with a shard: what it lacks, also
// since it was damaged and set aside, is fetched from another node.
func (k *Keeper) mended(err error) bool {
	var corrupt *index.CorruptError
	return k.Replicas != nil && (errors.Is(err, errLacking) || errors.As(err, &corrupt))
}

// rescue starts a new sync for a damaged shard; another error it hands back.
func (k *Keeper) rescue(ctx context.Context, d *pb.Destination, err error) error {
	var corrupt *index.CorruptError
	if !errors.As(err, &corrupt) && !errors.Is(err, errLacking) && !errors.Is(err, errGone) && !errors.Is(err, index.ErrNoSegment) {
		return err
	}
	var generation string
	_ = k.Catalog.View(func(tx *catalog.Tx) error {
		if g, err := tx.Generation(d.Id); err == nil {
			generation = g.Id
		}
		return nil
	})
	k.mu.Lock()
	again := k.rescued[d.Id] == generation
	k.rescued[d.Id] = generation
	k.mu.Unlock()
	if again {
		return nil
	}
	k.Logger.Error("a shard is damaged and set aside; its destination is scanned again", "destination", d.Id, "generation", generation, "error", err)
	_, err = k.Proposer.Propose(ctx, &pb.StartSync{
		Org: d.Org, DestinationId: d.Id, SyncId: catalog.NewID(catalog.KindSync), At: time.Now().UnixMilli(),
	})
	return err
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

// catchUp brings a shard to where the catalog of this node is now.
func (k *Keeper) catchUp(destination string) error {
	s := k.state(destination)
	if s.current.Load() >= k.Catalog.AppliedIndex() {
		if _, _, whole := k.Index.Generation(destination); whole || !s.promoted.Load() {
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := k.target(destination)
	if err != nil {
		return fmt.Errorf("read the generation of destination %s: %w", destination, err)
	}
	if t.manifest == nil {
		forget := k.Index.Drop
		if t.exists { // and a first sync of it may be writing
			forget = k.Index.Retire
		}
		if err := forget(destination); err != nil {
			return err
		}
		s.promoted.Store(false)
		s.current.Store(t.index)
		return nil
	}
	s.promoted.Store(true)
	if s.failed != nil && s.failedOf == t.manifest.Generation && time.Since(s.failedAt) < lookEvery {
		return s.failed
	}
	if slices.ContainsFunc(t.manifest.Segments, func(ref index.SegmentRef) bool { return !k.Index.Has(destination, ref.ID) }) {
		return errLacking
	}
	s.failed = k.Index.Promote(destination, *t.manifest)
	if s.failed != nil {
		s.failedAt, s.failedOf = time.Now(), t.manifest.Generation
		return s.failed
	}
	for {
		_, applied, _ := k.Index.Generation(destination)
		if t.lastDelta <= applied {
			break
		}
		more, err := k.apply(destination, t, applied)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	s.current.Store(t.index)
	return nil
}

// target is where a shard should be.
type target struct {
	index     uint64          // of the catalog that says so
	exists    bool            // the destination does; told when there is no generation
	manifest  *index.Manifest // nil: there is no generation
	bucketID  string
	startedAt int64 // of the scan, Unix milliseconds
	lastDelta uint64
}

func (k *Keeper) target(destination string) (t target, err error) {
	err = k.Catalog.View(func(tx *catalog.Tx) error {
		t.index = tx.AppliedIndex()
		g, err := tx.Generation(destination)
		if errors.Is(err, catalog.ErrNotFound) {
			all, err := tx.AllDestinations()
			t.exists = slices.ContainsFunc(all, func(d *pb.Destination) bool { return d.Id == destination })
			return err
		}
		if err != nil {
			return err
		}
		d, err := tx.Destination(g.Org, destination)
		if err != nil {
			return err
		}
		t.bucketID, t.startedAt = catalog.BucketID(d), g.StartedAt
		t.lastDelta = tx.LastDelta(t.bucketID)
		t.manifest = &index.Manifest{Generation: g.Id}
		if have, _, ok := k.Index.Generation(destination); ok && have == g.Id {
			return nil // Promote will do nothing: spare the list
		}
		segments, err := tx.Segments(g.Id)
		for _, s := range segments {
			if s.FileSize > 0 {
				t.manifest.Segments = append(t.manifest.Segments, index.SegmentRef{ID: s.Id, Checksum: s.Checksum})
			}
		}
		return err
	})
	return t, err
}
