package scanner

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
)

// sealAfter is the number of files after which a segment is sealed, so that a
// crash costs no more than that of a range.
const sealAfter = 250_000

// sealEvery is how long a stream gathers at most before it seals, so that a crash costs no
// more than that of its work where pages come slowly.
const sealEvery = 10 * time.Second

// pageSize is what providers list at most in one page.
const pageSize = 1000

// Proposer brings a command into the catalog. It answers when the command is
// applied on this node, or says why it is not.
type Proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// Buckets opens the bucket of a destination with its stored credentials.
type Buckets interface {
	Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error)
}

// WorkerConfig is what a Worker needs.
type WorkerConfig struct {
	// Node is the name of this node in the facts that it proposes.
	Node    string
	Catalog *catalog.Catalog
	Index   *index.Store
	// Streams bounds the list requests under way at once, all scans together.
	Streams  int
	Proposer Proposer
	Logger   *slog.Logger
}

// Worker lists ranges of buckets, classifies what it finds and seals it into
// segments of the local index. It is safe for concurrent use.
type Worker struct {
	WorkerConfig
	slots *slots
}

// NewWorker makes a worker; it does nothing until Scan is called.
func NewWorker(c WorkerConfig) *Worker {
	return &Worker{WorkerConfig: c, slots: newSlots(c.Streams)}
}

// Assignment is a part of a sync that a worker is to do.
type Assignment struct {
	SyncID      string
	Destination *pb.Destination
	Bucket      provider.Bucket
	Plan        []PlannedRange
}

// Scan does an assignment: when it answers nil, every range of the plan is covered
// by segments that are sealed here and recorded in the catalog. It stops at the first
// range that fails for good, and at the end of ctx; what was recorded by then
// stays. tally is kept up to date from the beginning on.
func (w *Worker) Scan(ctx context.Context, a Assignment, tally *Tally) error {
	start, _ := catalog.KeySpace(a.Destination)
	s := &scan{
		Worker:     w,
		Assignment: a,
		tally:      tally,
		table:      newTable(a.Plan, pageSize),
		turn:       w.slots.newTurn(),
		bucketID:   catalog.BucketID(a.Destination),
		prefix:     string(start),
		recorder:   recorder{proposer: w.Proposer, syncID: a.SyncID, queue: make(chan *pb.Segment, w.Streams)},
	}
	tally.table.Store(s.table)
	defer tally.table.Store(nil)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.recorder.run(ctx) })
	var streams sync.WaitGroup
	for range w.Streams {
		streams.Add(1)
		group.Go(func() error {
			defer streams.Done()
			return s.stream(ctx)
		})
	}
	group.Go(func() error {
		streams.Wait()
		close(s.recorder.queue)
		return nil
	})
	return group.Wait()
}

// Tally counts what a scan has done so far. It is safe for concurrent use.
type Tally struct {
	Files, Bytes, Orphans, Missing atomic.Uint64
	table                          atomic.Pointer[table]
}
