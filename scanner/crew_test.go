package scanner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
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
			f.start()
			by := f.check(f.startSync())
			if len(by) != nodes {
				t.Errorf("of %d nodes only these took part: %v", nodes, by)
			}
			t.Logf("listed by %v, %.1f %% in vain", by, f.listedTwice())
		})
	}
}

// TestWorkerDies: what it had recorded stays, the rest is listed by others.
func TestWorkerDies(t *testing.T) {
	f := newFleet(t, 3)
	rnd := seeded(t)
	f.start()
	id := f.startSync()
	f.until(id, uint64(1+rnd.IntN(20)))
	f.nodes[2].kill()
	f.check(id)
	t.Logf("%.1f %% listed in vain", f.listedTwice())
}

// TestLeaderDies: the new one takes over what the others are at.
func TestLeaderDies(t *testing.T) {
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
			t.Logf("%.1f %% listed in vain", f.listedTwice())
		})
	}
}

// TestOldLeaderIsRefused: a leader that does not know of a newer one orders in vain.
func TestOldLeaderIsRefused(t *testing.T) {
	f := newFleet(t, 3)
	f.start()
	id := f.startSync()
	f.until(id, 3)
	f.lead(f.nodes[1]) // and node0 goes on leading
	f.check(id)
	_, err := f.nodes[2].worker.Exchange(t.Context(), &spb.Order{Org: org, SyncId: id, Term: 1, Seq: 1 << 40})
	if !errors.Is(err, ErrStale) {
		t.Errorf("an order of an older term is answered with %v", err)
	}
}

// TestLateWorker: a node stands still until its ranges were given to others, and goes on
// then as if nothing had happened.
func TestLateWorker(t *testing.T) {
	f := newFleet(t, 3)
	late := f.nodes[2]
	var frozen sync.RWMutex
	late.list = func(ctx context.Context, _ provider.ListRequest) error {
		frozen.RLock()
		defer frozen.RUnlock()
		return ctx.Err()
	}
	f.network = func(ctx context.Context, to *fleetNode, _ *spb.Order, deliver func(context.Context) (*spb.Report, error)) (*spb.Report, error) {
		if to == late && !frozen.TryRLock() {
			<-ctx.Done()
			return nil, ctx.Err()
		} else if to == late {
			frozen.RUnlock()
		}
		return deliver(ctx)
	}
	f.silence = time.Minute // its own clock stands still as well
	f.start()
	id := f.startSync()
	f.until(id, 4)
	frozen.Lock()
	time.Sleep(f.lease + f.lease/2)
	frozen.Unlock()
	f.check(id)
	t.Logf("%.1f %% listed in vain", f.listedTwice())
}

// TestSilentLeader: a worker that hears nothing gives up, and begins anew when it does.
func TestSilentLeader(t *testing.T) {
	f := newFleet(t, 2)
	var cut sync.RWMutex
	f.network = func(ctx context.Context, to *fleetNode, _ *spb.Order, deliver func(context.Context) (*spb.Report, error)) (*spb.Report, error) {
		if to == f.nodes[1] {
			if !cut.TryRLock() {
				return nil, errors.New("unreachable")
			}
			cut.RUnlock()
		}
		return deliver(ctx)
	}
	for _, n := range f.nodes {
		n.list = func(ctx context.Context, _ provider.ListRequest) error {
			select {
			case <-time.After(50 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	f.start()
	id := f.startSync()
	f.until(id, 1)
	cut.Lock()
	time.Sleep(f.silence + f.silence/2)
	cut.Unlock()
	f.check(id)
}

// TestMessagesAreLostAndRepeated: orders and answers get lost, come twice, and come late.
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
		f.network = func(ctx context.Context, _ *fleetNode, _ *spb.Order, deliver func(context.Context) (*spb.Report, error)) (*spb.Report, error) {
			switch draw(8) {
			case 0:
				return nil, errors.New("the order is lost")
			case 1:
				_, _ = deliver(ctx)
				return nil, errors.New("the answer is lost")
			case 2:
				late.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					time.Sleep(time.Duration(draw(400)) * time.Millisecond)
					_, _ = deliver(ctx)
				})
				if draw(2) == 0 {
					return nil, errors.New("the order comes late")
				}
			case 3:
				time.Sleep(time.Duration(draw(100)) * time.Millisecond)
			}
			return deliver(ctx)
		}
		f.start()
		f.check(f.startSync())
		t.Logf("%.1f %% listed in vain", f.listedTwice())
		late.Wait()
	}
}

// TestSlowNode: the others do what a slow node would take long for.
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
		t.Errorf("the slow node did a third or more: %v", by)
	}
	t.Logf("listed by %v", by)
}

// TestFailureOfOneNode: what fails on one node for reasons of its own is done by another.
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

// TestCancelReachesAllNodes: no page is asked for any more.
func TestCancelReachesAllNodes(t *testing.T) {
	f := newFleet(t, 3)
	f.start()
	id := f.startSync()
	f.until(id, 2)
	f.propose(&pb.FinishSync{SyncId: id, Status: catalog.SyncCancelled, At: 1})
	time.Sleep(2 * lookAround)
	before := f.lists.Load()
	time.Sleep(lookAround)
	if n := f.lists.Load() - before; n > 0 {
		t.Errorf("%d keys were listed after the sync was cancelled", n)
	}
	f.lists.Store(0)
	f.check(f.startSync())
}

// TestCatalogBehind: a node classifies nothing before it knows what the sync began with.
func TestCatalogBehind(t *testing.T) {
	f := newFleet(t, 2)
	f.start()
	f.nodes[1].behind.Store(true)
	id := f.startSync()
	order := &spb.Order{Org: org, SyncId: id, StartedIndex: f.get(id).StartedIndex, Term: 1, Seq: 1}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.nodes[1].worker.Exchange(ctx, order); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a node that does not know the sync yet answers %v", err)
	}
	f.nodes[1].catchUp()
	f.check(id)
}

// TestDisasters: nodes die and come back, leaders change, all at random.
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
	f.lease, f.silence = 500*time.Millisecond, 600*time.Millisecond
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
		victim.catchUp()
		victim.start()
	}
	f.check(id)
	t.Logf("%.1f %% listed in vain", f.listedTwice())
}

func nodeNumber(f *fleet, n *fleetNode) int {
	for i, o := range f.nodes {
		if o == n {
			return i
		}
	}
	return -1
}
