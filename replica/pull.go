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
	// pullStreams bounds the segments that this node copies at once, pullShare those of one
	// destination: they take turns, and one that hangs does not keep the others from theirs.
	pullStreams = 16
	pullShare   = pullStreams / 2
	// heldTime bounds the asking of a node which segments it has.
	heldTime = 5 * time.Second
)

// errGone is returned for segments that no node has any more: all that could have them have
// answered.
var errGone = errors.New("no node has it any more")

// pull is the copying of what this node lacks of a result; guarded by the keeper.
type pull struct {
	looked uint64             // the newest look that needed it
	cancel context.CancelFunc // nil while it rests
	again  time.Time
	fails  int    // tries in a row that gained nothing
	left   uint64 // the print of the segments that the last try left
	full   bool
}

// pull fetches segments in the background, unless that is under way, or has just failed and
// nothing is new.
func (k *Keeper) pull(ctx context.Context, d *pb.Destination, r *result, missing []*pb.Segment, g company) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.pulls[r.id]
	if p == nil {
		p = &pull{}
		k.pulls[r.id] = p
	}
	p.looked = k.looks
	if p.cancel != nil || time.Now().Before(p.again) && (p.full || printOf(missing) == p.left) {
		return
	}
	pulling, cancel := context.WithCancel(ctx)
	p.cancel = cancel
	k.work.Go(func() {
		defer cancel()
		c := copying{Keeper: k, destination: d.Id, result: r, company: g}
		rest, err := c.run(pulling, missing)
		left := len(rest)
		k.pulled(p, left < len(missing), rest, err)
		if left < len(missing) {
			k.state(d.Id).stirred.Store(true)
			k.wake.Broadcast()
		}
		switch {
		case err == nil || pulling.Err() != nil:
		case errors.Is(err, syscall.ENOSPC):
			k.Logger.Error("the disk of this node is full: it cannot hold its copy of a shard; free space", "destination", d.Id, "segments left", left, "error", err)
		case !errors.Is(err, errGone):
			k.Logger.Warn("a shard could not be copied to this node yet; tried again", "destination", d.Id, "segments left", left, "error", err)
		case r.promoted:
			if err := k.rescue(ctx, d, r.id, err); err != nil && ctx.Err() == nil {
				k.Logger.Warn("a shard of which a part is lost could not be scanned again yet; tried again", "destination", d.Id, "error", err)
			}
		}
	})
}

// printOf tells lists of segments apart, whatever their order.
func printOf(segments []*pb.Segment) (all uint64) {
	for _, s := range segments {
		all += xxhash.Sum64String(s.Id)
	}
	return all
}

// pulled notes how a pull has ended.
func (k *Keeper) pulled(p *pull, gained bool, rest []*pb.Segment, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p.cancel, p.left, p.full = nil, printOf(rest), errors.Is(err, syscall.ENOSPC)
	if gained || err == nil {
		p.fails = 0
	}
	if err == nil {
		return
	}
	wait := min(k.Waits.Again<<min(p.fails, 8), k.Waits.Rest)
	if p.full {
		wait = k.Waits.Rest
	}
	p.fails++
	p.again = time.Now().Add(wait)
}

// forgetPulls ends those that this look did not need.
func (k *Keeper) forgetPulls() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, p := range k.pulls {
		if p.looked == k.looks {
			continue
		}
		if p.cancel != nil {
			p.cancel()
		}
		delete(k.pulls, id)
	}
}

// copying is one try to get what this node lacks of a result.
type copying struct {
	*Keeper
	destination string
	result      *result
	company     company
}

// run fetches segments from the nodes that are to have them, and what these do not have from
// any that does. It answers those that could not be had, and why.
func (c *copying) run(ctx context.Context, missing []*pb.Segment) (rest []*pb.Segment, err error) {
	rest, err = c.fetchAll(ctx, missing, c.likely)
	if len(rest) == 0 || ctx.Err() != nil || errors.Is(err, syscall.ENOSPC) {
		return rest, err
	}
	ids := make([]string, len(rest))
	for i, s := range rest {
		ids[i] = s.Id
	}
	has, doubt := c.whoHas(ctx, c.destination, ids, c.company)
	holders := map[string][]string{}
	gone := ""
	for i, id := range ids {
		for node, held := range has {
			if held[i] {
				holders[id] = append(holders[id], node)
			}
		}
		if len(holders[id]) == 0 {
			gone = id
		}
	}
	rest, err = c.fetchAll(ctx, rest, func(s *pb.Segment) []string { return holders[s.Id] })
	switch {
	case gone == "":
	case doubt != nil:
		err = errors.Join(err, doubt)
	default:
		err = errors.Join(err, fmt.Errorf("%w: segment %s", errGone, gone))
	}
	return rest, err
}

// likely lists the nodes that are to have a segment: those that hold the result, another one
// first for each segment, so that the load is spread, and the one that listed it.
func (c *copying) likely(s *pb.Segment) (nodes []string) {
	for _, node := range append(ranking(s.Id, c.result.holders), s.Node) {
		if node != c.Node && c.company.alive[node] {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// fetchAll fetches segments, each from the first of its nodes that has it. It answers those
// that could not be had, and what kept one of them from coming: nothing when none of their
// nodes has them.
func (c *copying) fetchAll(ctx context.Context, missing []*pb.Segment, from func(*pb.Segment) []string) (rest []*pb.Segment, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var streams errgroup.Group
	streams.SetLimit(pullShare)
	var mu sync.Mutex
	for _, s := range missing {
		streams.Go(func() error {
			got, failed := c.fetch(ctx, s, from(s))
			if errors.Is(failed, syscall.ENOSPC) {
				stop(failed) // the next one would fail, too
			}
			mu.Lock()
			defer mu.Unlock()
			if !got {
				rest = append(rest, s)
			}
			if err == nil || errors.Is(failed, syscall.ENOSPC) {
				err = failed
			}
			return nil
		})
	}
	_ = streams.Wait() // they answer no errors
	return rest, err
}

func (c *copying) fetch(ctx context.Context, s *pb.Segment, nodes []string) (got bool, err error) {
	for _, node := range nodes {
		if err := c.slots.Acquire(ctx, 1); err != nil {
			return false, err
		}
		failed := c.Replicas.Fetch(ctx, node, c.destination, s)
		c.slots.Release(1)
		switch {
		case failed == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, errors.Join(context.Cause(ctx), failed)
		case errors.Is(failed, syscall.ENOSPC):
			return false, failed
		case !errors.Is(failed, ErrNotHeld):
			err = failed
		}
	}
	return false, err
}

// whoHas asks the other nodes which of the segments they have. doubt says who may have some
// and does not answer.
func (k *Keeper) whoHas(ctx context.Context, destination string, segments []string, g company) (has map[string][]bool, doubt error) {
	has = map[string][]bool{}
	ctx, cancel := context.WithTimeout(ctx, heldTime)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, node := range g.others(k.Node) {
		asking.Go(func() {
			held, err := k.Replicas.Held(ctx, node, destination, segments)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				doubt = errors.Join(doubt, err)
				return
			}
			has[node] = held
		})
	}
	asking.Wait()
	for _, node := range g.away() {
		doubt = errors.Join(doubt, fmt.Errorf("node %s is away", node))
	}
	return has, doubt
}
