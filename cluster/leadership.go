package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"firescan/catalog"
)

const (
	// leaderTimeout bounds how long a request waits for a leader: an election takes less
	// time, and a client should get an error soon.
	leaderTimeout = 2500 * time.Millisecond
	// termBarrierTimeout bounds how long a new leader waits until it has applied its log.
	termBarrierTimeout = 10 * time.Second
	// readyGrace is how many heartbeats a node counts as ready after it has lost its leader,
	// which is longer than an election. Otherwise all nodes would be unready at once, and a
	// balancer would have none for the reads that may well wait for the next leader.
	readyGrace = 4
	// leadRetryInterval is the pause after the leader's work has failed.
	leadRetryInterval = time.Second
)

// term is a term in which this node leads.
type term struct {
	number uint64
	ended  chan struct{}
	cause  error // why it ended; read it only after ended is closed
}

func (t *term) end(cause error) {
	t.cause = cause
	close(t.ended)
}

// run runs fn with a context that ends with the term.
func (t *term) run(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-t.ended:
			cancel(t.cause)
		case <-ctx.Done():
		}
	})
	return fn(ctx)
}

// leadership knows which node leads, and runs work while this node does. It is safe for
// concurrent use.
type leadership struct {
	id        string
	heartbeat time.Duration
	raft      *raft.Raft
	inflight  *inflight
	logger    *slog.Logger
	ctx       context.Context //nolint:containedctx // that of the cluster
	// began is called at the beginning of each term of this node.
	began func(*term)

	mu sync.Mutex
	// term is nil while this node does not lead. It is set only when the commands of all
	// earlier terms are applied here.
	term *term
	// leader is the id of the leader that this node knows; empty for none.
	leader string
	// caughtUp is the leader whose log this node has applied since it leads.
	caughtUp string
	// lost is when this node, which was ready, lost its leader or the leadership.
	lost    time.Time
	changed catalog.Signal // broadcast when one of these changes
}

// run follows changes of leadership until the cluster closes.
func (l *leadership) run() {
	var current *term
	end := func(cause error) {
		if current != nil {
			current.end(cause)
			current = nil
			l.change(func() { l.term, l.lost = nil, time.Now() })
		}
	}
	defer func() { end(ErrClosed) }()
	signals := make(chan raft.Observation, 16)
	observer := raft.NewObserver(signals, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	l.raft.RegisterObserver(observer)
	defer l.raft.DeregisterObserver(observer)
	// Observers may miss a signal.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		leads, number := l.raft.State() == raft.Leader, l.raft.CurrentTerm()
		// Leadership that was lost and won again between two looks is another term.
		if current != nil && (!leads || current.number != number) {
			l.logger.Info("this node is no longer the leader", "term", current.number)
			end(ErrNoLeader)
		}
		l.setLeader()
		if leads && current == nil {
			// The commands of earlier leaders must be applied before anyone relies on this one.
			if err := l.applyAll(); err != nil {
				l.logger.Warn("leadership was lost before the log was applied", "error", err)
			} else {
				current = &term{number: number, ended: make(chan struct{})}
				l.change(func() { l.term = current })
				l.logger.Info("this node is now the leader", "term", number)
				l.began(current)
			}
		}
		select {
		case <-signals:
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
	}
}

// applyAll waits until this node, which leads, has applied all entries of earlier terms.
func (l *leadership) applyAll() error {
	if !l.inflight.add() {
		return ErrClosed
	}
	defer l.inflight.done()
	return l.raft.Barrier(termBarrierTimeout).Error()
}

// change changes the fields that mu guards, and wakes those who wait for it.
func (l *leadership) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
	l.changed.Broadcast()
}

func (l *leadership) setLeader() {
	_, id := l.raft.LeaderWithID()
	l.mu.Lock()
	same := l.leader == string(id)
	l.mu.Unlock()
	if !same {
		l.change(func() {
			if l.leader != "" && l.leader == l.caughtUp {
				l.lost = time.Now()
			}
			l.leader = string(id)
		})
	}
}

// current returns the term of this node, nil when it does not lead, the id of the leader
// that it knows, and a channel that is closed when one of them changes.
func (l *leadership) current() (*term, string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term, l.leader, l.changed.Wait()
}

// wait waits for a leader, until ctx ends. It returns its id, which is empty when this node
// leads.
func (l *leadership) wait(ctx context.Context) (id string, err error) {
	for {
		t, leader, changed := l.current()
		switch {
		case l.ctx.Err() != nil:
			return "", ErrClosed
		case t != nil:
			return "", nil
		case leader != "" && leader != l.id:
			return leader, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-l.ctx.Done():
			return "", ErrClosed
		}
	}
}

// whileLeads returns a context that ends soon after this node knows another leader, or has
// not heard from this one for long: a response may not come any more. A leader that steps
// down still responds, and gets the time to.
func (l *leadership) whileLeads(ctx context.Context, leader string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(l.heartbeat / 4)
		defer tick.Stop()
		for {
			_, now, changed := l.current()
			if now != leader {
				select {
				case <-time.After(l.heartbeat / 2):
					cancel(ErrNoLeader)
				case <-ctx.Done():
				}
				return
			}
			// Raft itself takes up to three heartbeats to notice.
			if time.Since(l.raft.LastContact()) > 2*l.heartbeat {
				cancel(ErrNoLeader)
				return
			}
			select {
			case <-changed:
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (l *leadership) hasCaughtUp(leader string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.caughtUp == leader
}

// inGrace reports whether this node has lost its leader so recently that an election may
// still run.
func (l *leadership) inGrace() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.lost) < readyGrace*l.heartbeat
}

// lead runs fn while this node leads: see Cluster.Lead.
func (l *leadership) lead(ctx context.Context, fn func(context.Context) error) error {
	for ctx.Err() == nil {
		t, _, changed := l.current()
		if t == nil {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		err := t.run(ctx, fn)
		select {
		case <-t.ended:
			// The term is set to nil right after it has ended.
			for now, _, changed := l.current(); now == t; now, _, changed = l.current() {
				<-changed
			}
			continue
		default:
		}
		if ctx.Err() == nil {
			l.logger.Error("the leader's work failed; it restarts in a second", "error", err)
			select {
			case <-time.After(leadRetryInterval):
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
}
