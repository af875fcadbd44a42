package scanner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
	spb "firescan/scanner/scannerpb"
)

func TestNodesScanTogether(t *testing.T) {
	for _, nodes := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			f := newFleet(t, nodes)
			f.lease = time.Minute // the machine may be busy
			var listing sync.WaitGroup
			listing.Add(nodes)
			for _, n := range f.nodes {
				// The first page of each node waits for those of all others; the plan lists
				// folders before.
				var first sync.Once
				n.list = func(_ context.Context, req provider.ListRequest) error {
					if req.Delimiter == "" {
						first.Do(listing.Done)
						listing.Wait()
					}
					return nil
				}
			}
			f.start()
			by := f.check(f.startSync())
			if len(by) != nodes {
				t.Errorf("of %d nodes only these listed files: %v", nodes, by)
			}
			t.Logf("listed by %v, %.1f %% listed twice", by, f.listedTwice())
		})
	}
}

// TestWorkerIsKilled: its recorded segments remain, other nodes list the rest.
func TestWorkerIsKilled(t *testing.T) {
	f := newFleet(t, 3)
	rnd := seeded(t)
	f.start()
	id := f.startSync()
	f.until(id, uint64(1+rnd.IntN(20)))
	f.nodes[2].kill()
	f.check(id)
	t.Logf("%.1f %% listed twice", f.listedTwice())
}

// TestLeaderIsKilled: the next leader takes over the running scans.
func TestLeaderIsKilled(t *testing.T) {
	for _, withItsWorker := range []bool{false, true} {
		t.Run(fmt.Sprint(withItsWorker), func(t *testing.T) {
			f := newFleet(t, 3)
			rnd := seeded(t)
			f.start()
			id := f.startSync()
			f.until(id, uint64(1+rnd.IntN(20)))
			if withItsWorker {
				f.nodes[0].kill()
			} else {
				f.nodes[0].unlead()
				f.nodes[0].unlead = nil
			}
			f.lead(f.nodes[1])
			f.check(id)
			t.Logf("%.1f %% listed twice", f.listedTwice())
		})
	}
}

// TestOldLeaderIsRefused: assignments of a leader with an older term are refused.
func TestOldLeaderIsRefused(t *testing.T) {
	f := newFleet(t, 3)
	f.start()
	id := f.startSync()
	f.until(id, 3)
	f.lead(f.nodes[1]) // while node0 still leads
	f.check(id)
	_, err := f.nodes[2].worker.Load().Exchange(t.Context(), &spb.Assignment{Org: org, SyncId: id, Term: 1, Seq: 1 << 40})
	if !errors.Is(err, ErrStale) {
		t.Errorf("an assignment of an older term returns %v", err)
	}
}

// TestFrozenWorker: a node freezes until its leases have expired, and then continues.
func TestFrozenWorker(t *testing.T) {
	f := newFleet(t, 3)
	late := f.nodes[2]
	var frozen sync.RWMutex
	late.list = func(ctx context.Context, _ provider.ListRequest) error {
		frozen.RLock()
		defer frozen.RUnlock()
		return ctx.Err()
	}
	f.network = func(ctx context.Context, to *fleetNode, _ *spb.Assignment, deliver func(context.Context) (*spb.StatusReport, error)) (*spb.StatusReport, error) {
		if to == late && !frozen.TryRLock() {
			<-ctx.Done()
			return nil, ctx.Err()
		} else if to == late {
			frozen.RUnlock()
		}
		return deliver(ctx)
	}
	f.leaderTimeout = time.Minute // its own clock is frozen, too
	f.start()
	id := f.startSync()
	f.until(id, 4)
	frozen.Lock()
	f.untilLogged("the lease of a node has expired; other nodes list its ranges")
	frozen.Unlock()
	f.check(id)
	t.Logf("%.1f %% listed twice", f.listedTwice())
}

// TestSilentLeader: a worker without assignments gives up, and starts again with the
// next.
func TestSilentLeader(t *testing.T) {
	f := newFleet(t, 2)
	var cut atomic.Bool
	f.network = func(ctx context.Context, to *fleetNode, _ *spb.Assignment, deliver func(context.Context) (*spb.StatusReport, error)) (*spb.StatusReport, error) {
		if to == f.nodes[1] && cut.Load() {
			return nil, errors.New("unreachable")
		}
		return deliver(ctx)
	}
	// No page of the worker arrives before it gives up, and few of the other node before the
	// worker lists again: the scan cannot end before.
	lists, gaveUp, again := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var first, second sync.Once
	f.nodes[1].list = func(ctx context.Context, _ provider.ListRequest) error {
		first.Do(func() { close(lists) })
		select {
		case <-gaveUp:
			second.Do(func() { close(again) })
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var pages atomic.Int64
	f.nodes[0].list = func(ctx context.Context, _ provider.ListRequest) error {
		if pages.Add(1) < 10 {
			return nil
		}
		select {
		case <-again:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.start()
	id := f.startSync()
	<-lists
	cut.Store(true)
	f.untilLogged("this node gives up its part of a sync; recorded segments remain")
	close(gaveUp)
	cut.Store(false)
	f.check(id)
}

// TestMessagesAreLostAndRepeated: assignments and reports get lost, are repeated and
// delayed.
func TestMessagesAreLostAndRepeated(t *testing.T) {
	for range 3 {
		f := newFleet(t, 3)
		var mu sync.Mutex
		rnd := seeded(t)
		draw := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return rnd.IntN(n)
		}
		var late sync.WaitGroup
		f.network = func(ctx context.Context, _ *fleetNode, _ *spb.Assignment, deliver func(context.Context) (*spb.StatusReport, error)) (*spb.StatusReport, error) {
			switch draw(8) {
			case 0:
				return nil, errors.New("the assignment is lost")
			case 1:
				_, _ = deliver(ctx)
				return nil, errors.New("the report is lost")
			case 2:
				late.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					time.Sleep(time.Duration(draw(400)) * time.Millisecond)
					_, _ = deliver(ctx)
				})
				if draw(2) == 0 {
					return nil, errors.New("the assignment is delayed")
				}
			case 3:
				time.Sleep(time.Duration(draw(100)) * time.Millisecond)
			}
			return deliver(ctx)
		}
		f.start()
		f.check(f.startSync())
		t.Logf("%.1f %% listed twice", f.listedTwice())
		late.Wait()
	}
}

// TestSlowNode: the other nodes take over ranges of a slow node.
func TestSlowNode(t *testing.T) {
	f := newFleet(t, 3)
	f.nodes[1].list = func(ctx context.Context, _ provider.ListRequest) error {
		select {
		case <-time.After(200 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.start()
	by := f.check(f.startSync())
	if by["node1"] > fleetKeys/3 {
		t.Errorf("the slow node listed a third or more: %v", by)
	}
	t.Logf("listed by %v", by)
}

// TestFailureOfOneNode: other nodes take over when a failure concerns one node only.
func TestFailureOfOneNode(t *testing.T) {
	full := fmt.Errorf("write: %w", syscall.ENOSPC)
	denied := &provider.Error{Kind: provider.Denied, Op: "list", Bucket: bucket, Reason: "not allowed"}
	down := &provider.Error{Kind: provider.Unavailable, Op: "list", Bucket: bucket, Reason: "no route"}
	for _, c := range []struct {
		name   string
		failed []int
		err    error
		opens  bool
		want   string
	}{
		{"disk full", []int{1}, full, false, ""},
		{"no route", []int{2}, down, false, ""},
		{"cannot open", []int{1}, full, true, ""},
		{"two of four", []int{1, 2}, full, false, ""},
		{"denied", []int{1}, denied, false, "list: denied: not allowed"},
		{"three of four", []int{1, 2, 3}, full, false, "the node's disk is full: free space, then start the sync again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet(t, 4)
			for _, i := range c.failed {
				if c.opens {
					f.nodes[i].opened = func() error { return c.err }
				} else {
					f.nodes[i].list = func(context.Context, provider.ListRequest) error { return c.err }
				}
			}
			f.start()
			id := f.startSync()
			if c.want == "" {
				f.check(id)
				return
			}
			if s := f.wait(id); s.Status != catalog.SyncFailed || s.Error != c.want {
				t.Errorf("sync %v, want failed: %q", s, c.want)
			}
		})
	}
}

// TestCancelReachesAllNodes: no node lists anything after a cancel.
func TestCancelReachesAllNodes(t *testing.T) {
	f := newFleet(t, 3)
	f.start()
	id := f.startSync()
	f.until(id, 2)
	f.log.Must(&pb.FinishSync{SyncId: id, Status: catalog.SyncCancelled, At: 1})
	f.waitIdle(id)
	before := f.lists.Load()
	time.Sleep(watchEvery)
	if n := f.lists.Load() - before; n > 0 {
		t.Errorf("%d keys were listed after the sync was cancelled", n)
	}
	f.lists.Store(0)
	f.check(f.startSync())
}

// TestCatalogBehind: a node waits until its catalog has applied the start of the sync.
func TestCatalogBehind(t *testing.T) {
	f := newFleet(t, 2)
	f.start()
	f.nodes[1].Pause()
	id := f.startSync()
	assignment := &spb.Assignment{Org: org, SyncId: id, StartedIndex: f.get(id).StartedIndex, Term: 1, Seq: 1}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.nodes[1].worker.Load().Exchange(ctx, assignment); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a node whose catalog is behind returns %v", err)
	}
	f.nodes[1].Start()
	f.check(id)
}

// TestDisasters: nodes are killed and restarted and leaders change at random.
func TestDisasters(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		disaster(t, seeded(t))
	}
}

func disaster(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	f := newFleet(t, 3)
	f.lease, f.leaderTimeout = 500*time.Millisecond, 600*time.Millisecond
	for _, n := range f.nodes {
		n.list = func(ctx context.Context, _ provider.ListRequest) error {
			select {
			case <-time.After(10 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	f.start()
	id := f.startSync()
	for range 4 {
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
		victim := f.nodes[rnd.IntN(3)]
		leads := victim.unlead != nil
		victim.kill()
		if leads {
			f.lead(f.nodes[(rnd.IntN(2)+1+nodeNumber(f, victim))%3])
		}
		time.Sleep(time.Duration(rnd.IntN(800)) * time.Millisecond)
		victim.start()
	}
	f.check(id)
	t.Logf("%.1f %% listed twice", f.listedTwice())
}

func nodeNumber(f *fleet, n *fleetNode) int {
	for i, o := range f.nodes {
		if o == n {
			return i
		}
	}
	return -1
}
