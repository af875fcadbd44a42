package cluster

import (
	"context"
	"sync"
	"time"
)

// statusWait bounds how long a list of members waits for those that do not answer.
const statusWait = time.Second

// The states of a member.
const (
	// StateAlive: it answers.
	StateAlive = "alive"
	// StateSuspect: it does not answer, and gossip has not given it up yet.
	StateSuspect = "suspect"
	// StateDead: it is gone without a word.
	StateDead = "dead"
	// StateLeft: it was stopped.
	StateLeft = "left"
)

// Member is one node of the group, as it says itself or, when it does not answer, as
// others know it.
type Member struct {
	ID string
	// Address is that of its cluster port, HTTPAddress that of its API; empty: not known.
	Address, HTTPAddress string
	Voter, Leader        bool
	// State is StateAlive, StateSuspect, StateDead or StateLeft.
	State string
	// AppliedIndex is the newest entry of the log that its catalog holds, Lag how
	// many entries that is behind this node's. Both are 0 when it does not answer.
	AppliedIndex, Lag uint64
	Version           string
	// Shards counts the shards that it holds.
	Shards int
}

// Members lists the nodes of the group by id. All are asked at once, and those that do not
// answer within a second are shown so.
func (c *Cluster) Members(ctx context.Context) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	peers := c.Peers()
	members := make([]Member, len(peers))
	applied := c.catalog.AppliedIndex()
	var asking sync.WaitGroup
	for i, p := range peers {
		m := &members[i]
		*m = Member{
			ID: p.ID, Address: p.Address, HTTPAddress: p.HTTPAddress, Voter: p.Voter, Leader: p.Leader, Version: p.Version,
			State: StateSuspect,
		}
		if k, ok := c.contact(p.ID); !p.Alive {
			m.State = StateDead
			if ok && k.meta.Leaving {
				m.State = StateLeft
			}
		}
		asking.Go(func() {
			// Also who is thought dead is asked: gossip may not get through to it.
			status, err := c.ask(ctx, p.ID)
			if err != nil {
				return
			}
			m.State, m.AppliedIndex, m.Shards = StateAlive, status.AppliedIndex, int(status.Shards)
			m.Version, m.HTTPAddress = status.Version, status.HttpAddress
			if status.AppliedIndex < applied {
				m.Lag = applied - status.AppliedIndex
			}
		})
	}
	asking.Wait()
	return members, nil
}
