package deletion

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
)

// chunkBytes bounds the paths of an intent so that its outcome, with a reason for each of
// them, fits into a log entry.
const chunkBytes = 320 << 10

// limits are the same for all deleters, but for tests.
type limits struct {
	// paths bounds the files of an intent; singles where each takes a call or two of its
	// own, so that they are done in time at a provider's slowest pace.
	paths, singles int
	// chunks bounds the intents of one request that are under way at once, and calls what
	// one of them asks the provider at once.
	chunks, calls int
	// chunkTime is how long after an intent was begun its files may be deleted. Nothing is
	// sent to the provider later; Resolve waits longer.
	chunkTime time.Duration
	// outcomeWait is how long a request waits for the outcome to be recorded, and
	// outcomeTime how long that is tried. After it the chunk is settled as one whose node has gone.
	outcomeWait, outcomeTime time.Duration
	// settleOthers is how long after the leader has seen an intent it counts as left behind.
	// Its node has sent nothing more to the provider for a minute by then, whatever its clock
	// says.
	settleOthers time.Duration
	// settleOwn is how long after the start the intents of an earlier run of this node are
	// left alone when some of their files are still there: what that run has sent last
	// may be on its way.
	settleOwn time.Duration
}

func usualLimits() limits {
	return limits{
		paths: catalog.MaxDeletes, singles: 250, chunks: 4, calls: 16, chunkTime: time.Minute,
		outcomeWait: 5 * time.Second, outcomeTime: 30 * time.Second, settleOthers: 2 * time.Minute, settleOwn: 10 * time.Second,
	}
}

// Why a file was not deleted, beside the refusals of the catalog (*catalog.Error) and the
// failures of the provider (*provider.Error).
var (
	// ErrNotThere is returned when neither the index nor the bucket has the file.
	ErrNotThere = errors.New("there is no such file")
	// ErrChanged is returned when the file is not the one that the last scan has seen, or
	// was replaced in this moment: it is not what was decided about.
	ErrChanged = errors.New("the file has changed since the last scan; sync the destination, then look again")
	// ErrUnsettled is returned when the provider did not say whether it has deleted the file,
	// which is there still. It stays marked for some minutes, and is looked at again then.
	ErrUnsettled = errors.New("the provider did not confirm the deletion and the file is still there; it is looked at again within minutes")
	// ErrRecordKept is returned for a backup whose files were deleted and whose record could
	// not be, since the catalog did not answer.
	ErrRecordKept = errors.New("its files are deleted and its record is not yet: delete it again")
	// ErrNeverSynced is returned by Plan and Cleanup before the first generation.
	ErrNeverSynced = errors.New("the destination was never synced, so that no orphans are known: sync it first")
	// ErrStopping is returned when the node stops before the file's turn has come.
	ErrStopping = errors.New("the node is stopping")
)

// Views opens the shards of destinations (*Keeper does).
type Views interface {
	View(ctx context.Context, destination string) (*index.View, error)
}

// Proposer brings a command into the catalog. It returns when the command is applied on
// this node, or the reason why it is not.
type Proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// Buckets opens the bucket of a destination with its stored credentials.
type Buckets interface {
	Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error)
}

// DeleterConfig is what a Deleter needs.
type DeleterConfig struct {
	// Node names this node, and Boot this run of it: what a run has begun and not finished
	// is settled when the next one has taken its place.
	Node, Boot string
	Catalog    *catalog.Catalog
	Proposer   Proposer
	Buckets    Buckets
	Shards     Views
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Deleter deletes files that no backup record needs, and backups with their files. A file
// is deleted only while it is marked in the catalog, where no record can come to need it
// (see DESIGN.md). It is safe for concurrent use.
type Deleter struct {
	DeleterConfig
	limits
	metrics *deleteMetrics
	opened  time.Time

	mu      sync.Mutex
	closing chan struct{}  // closed by stop
	work    sync.WaitGroup // the chunks under way
}

// NewDeleter makes a deleter and registers its metrics. Close it before what it stands on.
func NewDeleter(c DeleterConfig) *Deleter {
	return &Deleter{
		DeleterConfig: c, limits: usualLimits(), metrics: newDeleteMetrics(c.Registerer), opened: time.Now(), closing: make(chan struct{}),
	}
}

// Close gives up the deletions under way and waits for them to end. What they leave is
// settled by a later leader.
func (d *Deleter) Close() {
	d.stop()
	d.work.Wait()
}

func (d *Deleter) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stopped() {
		close(d.closing)
	}
}

func (d *Deleter) stopped() bool {
	select {
	case <-d.closing:
		return true
	default:
		return false
	}
}

// enter counts a chunk as under way, unless the deleter is closed.
func (d *Deleter) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped() {
		return false
	}
	d.work.Add(1)
	return true
}

// outlive makes a context that goes on when ctx ends, for a time at most, and not when the
// deleter closes.
func (d *Deleter) outlive(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	go func() {
		select {
		case <-d.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Outcome is what became of one file.
type Outcome struct {
	Path []byte
	// Deleted says that the file is not there any more.
	Deleted bool
	// Absent says that it was gone before it was to be deleted.
	Absent bool
	// Size is that of the deleted file, in bytes.
	Size int64
	// Err is why it was not deleted: see the Err values, *catalog.Error and *provider.Error.
	Err error
}

// DeleteRequest asks to delete files of a destination, as it was read from the catalog.
type DeleteRequest struct {
	Destination *pb.Destination
	// Who is put on record.
	Who   string
	Paths [][]byte
}

// DeleteFiles deletes the orphans among paths that are still what the index says of them,
// and answers an outcome for each path in order; a path that is given twice has the same
// one twice. Before the first sync of the destination, links and the bucket alone decide.
// The error says why nothing was begun.
//
// What was begun goes to its end also when ctx ends; the rest is not begun then.
func (d *Deleter) DeleteFiles(ctx context.Context, r DeleteRequest) ([]Outcome, error) {
	paths := slices.Clone(r.Paths)
	slices.SortFunc(paths, bytes.Compare)
	paths = slices.CompactFunc(paths, bytes.Equal)
	candidates, err := d.candidates(ctx, r.Destination.Id, paths)
	if err != nil {
		return nil, err
	}
	w, err := d.begin(ctx, r.Destination, r.Who)
	if err != nil {
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(d.chunks)
	for _, part := range w.split(candidates) {
		group.Go(func() error { return w.run(ctx, part) })
	}
	if err := group.Wait(); err != nil && !w.begun() {
		return nil, err
	}
	outcomes := make([]Outcome, len(r.Paths))
	for i, path := range r.Paths {
		at, _ := slices.BinarySearchFunc(candidates, path, func(t *candidate, path []byte) int { return bytes.Compare(t.path, path) })
		outcomes[i] = candidates[at].Outcome()
	}
	return outcomes, nil
}

// candidates looks up what the index says of paths, which are sorted.
func (d *Deleter) candidates(ctx context.Context, destination string, paths [][]byte) ([]*candidate, error) {
	view, err := d.view(ctx, destination)
	if err != nil {
		return nil, err
	}
	if view != nil {
		defer view.Release()
	}
	candidates := make([]*candidate, len(paths))
	for i, path := range paths {
		candidates[i] = &candidate{path: path}
		if view == nil {
			continue
		}
		if _, _, err := view.Query(index.Query{Prefix: path, Limit: 1}, func(e *index.Entry) bool {
			if bytes.Equal(e.Path, path) {
				candidates[i].expect(e)
			}
			return false
		}); err != nil {
			return nil, err
		}
	}
	return candidates, nil
}

// view opens the shard of a destination, nil before its first sync.
func (d *Deleter) view(ctx context.Context, destination string) (*index.View, error) {
	view, err := d.Shards.View(ctx, destination)
	if !errors.Is(err, index.ErrNoShard) {
		return view, err
	}
	missing := d.Catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.Generation(destination)
		return err
	})
	if errors.Is(missing, catalog.ErrNotFound) {
		return nil, nil //nolint:nilnil // no shard is an answer, not a failure
	}
	return nil, errors.Join(err, missing)
}

// deletion is what the chunks of one request share.
type deletion struct {
	*Deleter
	destination *pb.Destination
	who         string
	bucket      provider.Bucket // nil where records go alone
	conditions  provider.Conditions

	state struct {
		sync.Mutex
		begun  bool  // a chunk was begun
		broken error // why one could not be: then the next ones could not, either
	}
}

func (w *deletion) begun() bool {
	w.state.Lock()
	defer w.state.Unlock()
	return w.state.begun
}

func (w *deletion) broken() error {
	w.state.Lock()
	defer w.state.Unlock()
	return w.state.broken
}

// note keeps whether a chunk could be begun.
func (w *deletion) note(err error) {
	w.state.Lock()
	defer w.state.Unlock()
	if err == nil {
		w.state.begun = true
	} else if w.state.broken == nil {
		w.state.broken = err
	}
}

// begin opens the bucket of a destination for deleting.
func (d *Deleter) begin(ctx context.Context, dest *pb.Destination, who string) (*deletion, error) {
	bucket, err := d.Buckets.Open(ctx, dest)
	if err != nil {
		return nil, err
	}
	w := &deletion{Deleter: d, destination: dest, who: who, bucket: bucket}
	w.conditions, err = w.learnConditions(ctx)
	return w, err
}

// learnConditions answers which conditions the bucket honours, and finds out when nobody
// has since its settings changed. Where that cannot be found out, none are relied on.
func (w *deletion) learnConditions(ctx context.Context) (provider.Conditions, error) {
	if c := w.destination.Conditions; c != nil {
		return provider.Conditions{Single: c.Single, Batch: c.Batch}, nil
	}
	c, err := provider.ProbeConditions(ctx, w.bucket, w.prefix())
	if err != nil {
		if ctx.Err() != nil {
			return c, context.Cause(ctx)
		}
		w.Logger.Warn("whether deletes can have conditions could not be found out; each file is looked at before it is deleted",
			"destination", w.destination.Id, "error", err)
		return provider.Conditions{}, nil
	}
	_, err = w.Proposer.Propose(ctx, &pb.SetConditions{
		Org: w.destination.Org, Id: w.destination.Id, Revision: w.destination.Revision,
		Single: c.Single, Batch: c.Batch, At: time.Now().UnixMilli(),
	})
	if err != nil && ctx.Err() == nil {
		w.Logger.Warn("the conditions of a bucket could not be remembered; they are found out again", "destination", w.destination.Id, "error", err)
	}
	return c, nil
}

// prefix is what the keys of the destination begin with.
func (w *deletion) prefix() string {
	start, _ := catalog.KeySpace(w.destination)
	return string(start)
}
