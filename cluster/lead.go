package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// leaderWait bounds how long a request waits for a leader: an election takes less,
	// and a client that waits longer would rather hear that there is none.
	leaderWait = 2500 * time.Millisecond
	// barrierWait bounds how long a new leader waits for its turn to apply the log.
	barrierWait = 10 * time.Second
)

// term is one leadership of this node.
type term struct {
	number uint64
	ended  chan struct{}
	why    error // that it ended; read it only after
}

func (t *term) end(why error) {
	t.why = why
	close(t.ended)
}

// follow keeps term and leader: it looks at each change of leadership until the cluster
// closes.
func (c *Cluster) follow() {
	var mine *term
	end := func(why error) {
		if mine != nil {
			mine.end(why)
			mine = nil
			c.setTerm(nil)
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
	c.raft.RegisterObserver(observer)
	defer c.raft.DeregisterObserver(observer)
	// A signal may be dropped, so that raft is asked again each second.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		leads, number := c.raft.State() == raft.Leader, c.raft.CurrentTerm()
		// A term that was lost and won again between two looks is another one.
		if mine != nil && (!leads || mine.number != number) {
			c.logger.Info("this node no longer leads", "term", mine.number)
			end(ErrNoLeader)
		}
		leader, _ := c.Leader()
		c.setLeader(leader)
		if leads && mine == nil {
			// What earlier leaders committed is applied before anyone relies on it.
			if err := c.settle(); err != nil {
				c.logger.Warn("leadership was won and lost before the log was applied", "error", err)
			} else {
				mine = &term{number: number, ended: make(chan struct{})}
				c.setTerm(mine)
				c.logger.Info("this node leads", "term", number)
				c.manage(mine)
			}
		}
		select {
		case <-signals:
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// settle waits until this node, which leads, has applied all that came before its term.
func (c *Cluster) settle() error {
	if !c.asking.enter() {
		return ErrClosed
	}
	defer c.asking.leave()
	return c.raft.Barrier(barrierWait).Error()
}

// change changes what c.mu guards, and wakes those who wait for it.
func (c *Cluster) change(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Cluster) setTerm(t *term) { c.change(func() { c.term = t }) }

func (c *Cluster) setLeader(id string) {
	c.mu.Lock()
	same := c.leader == id
	c.mu.Unlock()
	if !same {
		c.change(func() { c.leader = id })
	}
}

// leads is the present term, nil when this node does not lead, the node that leads as far
// as this one knows, and a channel that is closed when one of them changes.
func (c *Cluster) leads() (*term, string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.term, c.leader, c.changed
}

// whoLeads waits until this node leads, which is told by an empty id, or another one does,
// until ctx ends.
func (c *Cluster) whoLeads(ctx context.Context) (id string, err error) {
	for {
		t, leader, changed := c.leads()
		switch {
		case c.ctx.Err() != nil:
			return "", ErrClosed
		case t != nil:
			return "", nil
		case leader != "" && leader != c.id:
			return leader, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-c.ctx.Done():
			return "", ErrClosed
		}
	}
}

// Term is the Raft term of this node's leadership, 0 when it does not lead.
func (c *Cluster) Term() uint64 {
	if t, _, _ := c.leads(); t != nil {
		return t.number
	}
	return 0
}

// Lead runs fn whenever this node leads, with a context that ends when it no longer
// does, and again the next time, until ctx ends. An error of fn is logged, and fn run
// again after a second if the node still leads.
func (c *Cluster) Lead(ctx context.Context, fn func(context.Context) error) error {
	for ctx.Err() == nil {
		t, _, changed := c.leads()
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
			// The term is taken back right after it has ended.
			for now, _, changed := c.leads(); now == t; now, _, changed = c.leads() {
				<-changed
			}
			continue
		default:
		}
		if ctx.Err() == nil {
			c.logger.Error("the leader's work stopped; it is begun again in a second", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
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
			cancel(t.why)
		case <-ctx.Done():
		}
	})
	return fn(ctx)
}
