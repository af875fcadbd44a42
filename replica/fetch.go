package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	pb "firescan/catalog/catalogpb"
)

const (
	// fetchShare bounds the segments of one destination that this node fetches at once, so
	// that a hanging one does not block the others.
	fetchShare = fetchStreams / 2
	// holdersTimeout bounds asking a node which segments it has.
	holdersTimeout = 5 * time.Second
)

// errLost is returned for segments that no node has anymore: every node that could have
// them responded.
var errLost = errors.New("no node has it anymore")

// startFetch fetches segments in the background, unless that is under way, or has just
// failed and nothing is new.
func (r *Replicator) startFetch(ctx context.Context, d *pb.Destination, res *result, missing []*pb.Segment, g nodeSet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	job := r.fetches[res.id]
	if job == nil {
		job = &fetchJob{}
		r.fetches[res.id] = job
	}
	job.pass = r.passes
	if job.cancel != nil || time.Now().Before(job.next) && (job.full || fingerprint(missing) == job.left) {
		return
	}
	fetching, cancel := context.WithCancel(ctx)
	job.cancel = cancel
	r.work.Go(func() {
		defer cancel()
		f := fetcher{replicator: r, destination: d.Id, result: res, nodes: g}
		rest, err := f.run(fetching, missing)
		r.endFetch(job, len(rest) < len(missing), rest, err)
		if len(rest) < len(missing) {
			r.state(d.Id).received.Store(true)
			r.wake.Broadcast()
		}
		log := r.config.Logger.With("destination", d.Id, "segments_left", len(rest))
		switch {
		case err == nil || fetching.Err() != nil:
		case errors.Is(err, syscall.ENOSPC):
			log.Error("the disk of this node is full: it cannot hold its replica of a shard; free space", "error", err)
		case !errors.Is(err, errLost):
			log.Warn("a shard could not be copied to this node yet; retrying", "error", err)
		case res.promoted:
			if err := r.resync(ctx, d, res.id, err); err != nil && ctx.Err() == nil {
				log.Warn("a shard with lost segments could not be synced again yet; retrying", "error", err)
			}
		}
	})
}

// fingerprint returns a hash of a set of segments.
func fingerprint(segments []*pb.Segment) (sum uint64) {
	for _, s := range segments {
		sum += xxhash.Sum64String(s.Id)
	}
	return sum
}

// endFetch records the result of an attempt.
func (r *Replicator) endFetch(job *fetchJob, progress bool, rest []*pb.Segment, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	job.cancel, job.left, job.full = nil, fingerprint(rest), errors.Is(err, syscall.ENOSPC)
	if progress || err == nil {
		job.fails = 0
	}
	if err == nil {
		return
	}
	wait := min(r.config.Timing.Retry<<min(job.fails, 8), r.config.Timing.MaxRetry)
	if job.full {
		wait = r.config.Timing.MaxRetry
	}
	job.fails++
	job.next = time.Now().Add(wait)
}

// cancelFetches cancels the fetches that this pass did not need.
func (r *Replicator) cancelFetches() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, job := range r.fetches {
		if job.pass == r.passes {
			continue
		}
		if job.cancel != nil {
			job.cancel()
		}
		delete(r.fetches, id)
	}
}

// A fetcher is one attempt to fetch the missing segments of a result.
type fetcher struct {
	replicator  *Replicator
	destination string
	result      *result
	nodes       nodeSet
}

// run fetches segments from their likely holders, and the rest from any node that has them.
// It returns the segments that it could not fetch, and the reason.
func (f *fetcher) run(ctx context.Context, missing []*pb.Segment) (rest []*pb.Segment, err error) {
	rest, err = f.fetchAll(ctx, missing, f.likelyHolders)
	if len(rest) == 0 || ctx.Err() != nil || errors.Is(err, syscall.ENOSPC) {
		return rest, err
	}
	ids := make([]string, len(rest))
	for i, s := range rest {
		ids[i] = s.Id
	}
	has, unknown := f.replicator.findHolders(ctx, f.destination, ids, f.nodes)
	holders := map[string][]string{}
	lost := ""
	for i, id := range ids {
		for node, held := range has {
			if held[i] {
				holders[id] = append(holders[id], node)
			}
		}
		if len(holders[id]) == 0 {
			lost = id
		}
	}
	rest, err = f.fetchAll(ctx, rest, func(s *pb.Segment) []string { return holders[s.Id] })
	switch {
	case lost == "":
	case unknown != nil:
		err = errors.Join(err, unknown)
	default:
		err = errors.Join(err, fmt.Errorf("%w: segment %s", errLost, lost))
	}
	return rest, err
}

// likelyHolders returns the nodes that should have a segment: the holders of the result, in
// an order that depends on the segment to spread the load, and the node that listed it.
func (f *fetcher) likelyHolders(s *pb.Segment) (nodes []string) {
	for _, node := range append(ranking(s.Id, f.result.holders), s.Node) {
		if node != f.replicator.config.Node && f.nodes.alive[node] {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// fetchAll fetches segments, each from the first of its nodes that has it. It returns the
// segments that it could not fetch, and an error unless their nodes just do not have them.
func (f *fetcher) fetchAll(ctx context.Context, missing []*pb.Segment, from func(*pb.Segment) []string) (rest []*pb.Segment, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var streams errgroup.Group
	streams.SetLimit(fetchShare)
	var mu sync.Mutex
	for _, s := range missing {
		streams.Go(func() error {
			ok, failed := f.fetch(ctx, s, from(s))
			if errors.Is(failed, syscall.ENOSPC) {
				stop(failed) // the next one would fail, too
			}
			mu.Lock()
			defer mu.Unlock()
			if !ok {
				rest = append(rest, s)
			}
			if err == nil || errors.Is(failed, syscall.ENOSPC) {
				err = failed
			}
			return nil
		})
	}
	_ = streams.Wait() // the functions return no errors
	return rest, err
}

func (f *fetcher) fetch(ctx context.Context, s *pb.Segment, nodes []string) (ok bool, err error) {
	r := f.replicator
	for _, node := range nodes {
		if err := r.slots.Acquire(ctx, 1); err != nil {
			return false, err
		}
		failed := r.config.Peers.Fetch(ctx, node, f.destination, s)
		r.slots.Release(1)
		switch {
		case failed == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, errors.Join(context.Cause(ctx), failed)
		case errors.Is(failed, syscall.ENOSPC):
			return false, failed
		case !errors.Is(failed, ErrNoSegment):
			err = failed
		}
	}
	return false, err
}

// findHolders asks the other nodes which of the segments they have. unknown names the nodes
// that may have some and did not respond.
func (r *Replicator) findHolders(ctx context.Context, destination string, segments []string, g nodeSet) (has map[string][]bool, unknown error) {
	has = map[string][]bool{}
	ctx, cancel := context.WithTimeout(ctx, holdersTimeout)
	defer cancel()
	var mu sync.Mutex
	var calls sync.WaitGroup
	for _, node := range g.others(r.config.Node) {
		calls.Go(func() {
			held, err := r.config.Peers.Held(ctx, node, destination, segments)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				unknown = errors.Join(unknown, err)
				return
			}
			has[node] = held
		})
	}
	calls.Wait()
	for _, node := range g.away() {
		unknown = errors.Join(unknown, fmt.Errorf("node %s is away", node))
	}
	return has, unknown
}
