package deletion

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

// An operation is the state that the batches of one request share.
type operation struct {
	deleter     *Deleter
	destination *pb.Destination
	who         string
	bucket      provider.Bucket // nil where only records are deleted
	conditions  provider.Conditions
	// listed reports that the index has all files that are deleted.
	listed bool

	looking sync.Mutex // guards unseen and looked
	unseen  *unseen    // nil where no record needs a file of the bucket
	// looked has the index of the last delta, by identity of the bucket, up to which the files
	// of records were looked up.
	looked map[string]uint64

	held atomic.Int64 // bytes of the files of the backups, against limits.held

	mu      sync.Mutex
	started bool      // a batch was started
	proven  time.Time // when access to the bucket was last looked at
	failure error     // why a batch could not be started; later ones are not tried
}

// begin opens the bucket of a destination for deleting, with listed if the index has all files
// that are deleted.
func (d *Deleter) begin(ctx context.Context, dest *pb.Destination, who string, listed bool) (*operation, error) {
	if err := d.config.Catalog.Verify(ctx, verifiedFor); err != nil {
		return nil, err
	}
	bucket, err := d.config.Buckets.Open(ctx, dest)
	if err != nil {
		return nil, err
	}
	op := &operation{deleter: d, destination: dest, who: who, bucket: bucket, listed: listed}
	if err := op.proveAccess(ctx); err != nil {
		return nil, err
	}
	if op.conditions, err = op.probeConditions(ctx); err != nil {
		return nil, err
	}
	return op, op.findUnseen(ctx)
}

// proveAccess lists the bucket with the credentials of the destination, and records that,
// unless there is a recent proof. Nothing is revealed or marked before the provider has
// accepted the credentials.
func (op *operation) proveAccess(ctx context.Context) error {
	op.mu.Lock()
	defer op.mu.Unlock()
	now := time.Now()
	// A proof is renewed at half of the age that marks need, so it lasts that long.
	if now.Sub(op.proven) < catalog.MaxProofAge/4 {
		return nil
	}
	var proof *pb.ProveAccess
	if err := op.deleter.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		proof, err = tx.NewProof(op.destination, now)
		return err
	}); err != nil {
		return err
	}
	if proof != nil {
		if err := op.bucket.List(ctx, provider.ListRequest{Prefix: op.prefix(), MaxKeys: 1}, &provider.Page{}); err != nil {
			return err
		}
		if _, err := op.deleter.config.Proposer.Propose(ctx, proof); err != nil {
			return err
		}
	}
	op.proven = now
	return nil
}

func (op *operation) hasStarted() bool {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.started
}

func (op *operation) startError() error {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.failure
}

// noteStart records whether a batch could be started.
func (op *operation) noteStart(err error) {
	op.mu.Lock()
	defer op.mu.Unlock()
	if err == nil {
		op.started = true
	} else if op.failure == nil {
		op.failure = err
	}
}

// probeConditions returns the conditions that the bucket is proven to honor, and probes them
// if nobody has since its settings changed. When the probe fails, none are relied on.
func (op *operation) probeConditions(ctx context.Context) (provider.Conditions, error) {
	if c := op.destination.Conditions; c != nil {
		return provider.Conditions{Single: c.Single, Batch: c.Batch}, nil
	}
	config := op.deleter.config
	c, err := provider.ProbeConditions(ctx, op.bucket, op.prefix())
	if err != nil {
		if ctx.Err() != nil {
			return c, context.Cause(ctx)
		}
		config.Logger.Warn("probing conditional deletes failed; each file is checked before it is deleted",
			"destination", op.destination.Id, "error", err)
		return provider.Conditions{}, nil
	}
	_, err = config.Proposer.Propose(ctx, &pb.SetConditions{
		Org: op.destination.Org, Id: op.destination.Id, Revision: op.destination.Revision,
		Single: c.Single, Batch: c.Batch, At: time.Now().UnixMilli(),
	})
	if err != nil && ctx.Err() == nil {
		config.Logger.Warn("the conditions of a bucket could not be stored; they are probed again",
			"destination", op.destination.Id, "error", err)
	}
	return c, nil
}

// prefix returns the prefix of the destination's keys.
func (op *operation) prefix() string {
	start, _ := catalog.KeySpace(op.destination)
	return string(start)
}
