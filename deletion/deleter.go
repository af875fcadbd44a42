package deletion

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
)

// maxBatchBytes bounds the paths of an intent, so that its outcome with a reason for each
// path fits into a log entry.
const maxBatchBytes = 320 << 10

const (
	// verifiedFor is the age up to which a comparison of the catalog with its records counts
	// for a deletion. Nodes compare more often; the first deletion after a start waits.
	verifiedFor = 2 * time.Hour
	// verifiedForCleanup is the same for a cleanup, which deletes without naming the files.
	verifiedForCleanup = 10 * time.Minute
)

// limits are constants that tests change.
type limits struct {
	// paths bounds the files of an intent; singles bounds them where each file takes a call
	// or two, so that a batch ends in time at a provider's slowest rate.
	paths, singles int
	// batches bounds the intents of one request at once, calls the provider calls of one
	// intent at once.
	batches, calls int
	// held bounds the memory of the files of one request that deletes backups, in bytes.
	held int64
	// batchTime is the time from before an intent is proposed within which its files may be
	// deleted. Nothing is sent to the provider later; Recover waits longer.
	batchTime time.Duration
	// outcomeWait is how long a request waits for its outcome to be recorded, outcomeTime
	// how long recording is retried. After it the intent is recovered like one of a dead
	// node.
	outcomeWait, outcomeTime time.Duration
	// abandoned is how long after the leader first saw an intent without an outcome no node
	// works on it anymore, whatever its clock.
	abandoned time.Duration
	// release is how long after the leader first saw an intent no call of it can act
	// anymore: the time in which calls are sent, and provider.MaxHold.
	release time.Duration
}

func defaultLimits() limits {
	return limits{
		paths: catalog.MaxDeletes, singles: 250, batches: 4, calls: 16, held: 64 << 20, batchTime: time.Minute,
		outcomeWait: 5 * time.Second, outcomeTime: 30 * time.Second,
		abandoned: 2 * time.Minute, release: time.Minute + provider.MaxHold,
	}
}

// Shards opens the shards of destinations.
type Shards interface {
	View(ctx context.Context, destination string) (*index.View, error)
}

// A Proposer proposes a command to the catalog. It returns when the command is applied on
// this node, or the reason why it is not.
type Proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// Verdicts compares decisions of the catalog between nodes.
type Verdicts interface {
	// Confirm returns nil when a majority of the nodes has decided as v says.
	Confirm(ctx context.Context, v catalog.Verdict) error
}

// Buckets opens the bucket of a destination with its stored credentials.
type Buckets interface {
	Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error)
}

// Config configures a Deleter. All fields are required.
type Config struct {
	// Node names this node and Boot this run of it: intents that a run left open are
	// recovered by the next run.
	Node, Boot string
	Catalog    *catalog.Catalog
	Proposer   Proposer
	Verdicts   Verdicts
	Buckets    Buckets
	Shards     Shards
	Thresholds Thresholds
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Deleter deletes files that no backup record needs, and backups with their files. A file
// is deleted only while it is marked in the catalog; no record can claim a marked file (see
// DESIGN.md). It is safe for concurrent use.
type Deleter struct {
	config  Config
	limits  limits
	metrics *metrics
	lookups lookups

	mu      sync.Mutex
	closing chan struct{}
	work    sync.WaitGroup // batches under way
}

// New returns a deleter and registers its metrics. Close it before its dependencies.
func New(c Config) *Deleter {
	return &Deleter{
		config: c, limits: defaultLimits(), metrics: newMetrics(c.Registerer),
		closing: make(chan struct{}),
	}
}

// Close cancels the deletions under way and waits for them to end. A later leader recovers
// their intents.
func (d *Deleter) Close() {
	d.stop()
	d.work.Wait()
}

func (d *Deleter) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed() {
		close(d.closing)
	}
}

func (d *Deleter) closed() bool {
	select {
	case <-d.closing:
		return true
	default:
		return false
	}
}

// enter counts a batch as under way, unless the deleter is closed.
func (d *Deleter) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed() {
		return false
	}
	d.work.Add(1)
	return true
}

// detach returns a context that goes on for at most timeout when ctx ends, but not when the
// deleter closes.
func (d *Deleter) detach(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	go func() {
		select {
		case <-d.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// view opens the shard of a destination; it returns nil before the first sync.
func (d *Deleter) view(ctx context.Context, destination string) (*index.View, error) {
	view, err := d.config.Shards.View(ctx, destination)
	if !errors.Is(err, index.ErrNoShard) {
		return view, err
	}
	missing := d.config.Catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.Generation(destination)
		return err
	})
	if errors.Is(missing, catalog.ErrNotFound) {
		return nil, nil //nolint:nilnil // a destination without a shard is not an error
	}
	return nil, errors.Join(err, missing)
}

// each calls fn for 0 to n-1, up to limits.calls at once.
func (d *Deleter) each(n int, fn func(i int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range min(n, d.limits.calls) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	group.Wait()
}
