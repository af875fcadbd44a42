package cluster

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// Member is one node of the group.
type Member struct {
	ID     string
	Voter  bool
	Leader bool
	// State is what this node knows of the member: leader, follower or candidate of
	// itself, member of others.
	State string
}

// Members lists the nodes of the group, by the newest configuration that this node
// knows.
func (c *Cluster) Members() ([]Member, error) {
	conf := c.raft.GetConfiguration()
	if err := conf.Error(); err != nil {
		return nil, fmt.Errorf("read the members of the cluster: %w", err)
	}
	leader, _ := c.Leader()
	servers := conf.Configuration().Servers
	all := make([]Member, len(servers))
	for i, s := range servers {
		all[i] = Member{ID: string(s.ID), Voter: s.Suffrage == raft.Voter, Leader: string(s.ID) == leader, State: "member"}
		switch {
		case string(s.ID) != c.id:
		case c.raft.State() == raft.Leader:
			all[i].State = "leader"
		case c.raft.State() == raft.Candidate:
			all[i].State = "candidate"
		default:
			all[i].State = "follower"
		}
	}
	return all, nil
}

// checkMember refuses to start a node that the log does not know: it would wait for
// ever to be elected.
func (c *Cluster) checkMember() error {
	all, err := c.Members()
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.ID == c.id {
			return nil
		}
	}
	return fmt.Errorf("node %q is not among the members that its log knows (%v): start it with the id that it had", c.id, all)
}

// checkLog refuses a log that lacks entries which the catalog has applied: new
// entries would be given numbers that the catalog takes for done, and lost.
func checkLog(c Config, log raft.LogStore, s *snapshots) error {
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("read the log in %s: %w", c.Dir, err)
	}
	metas, err := s.List()
	if err != nil {
		return err
	}
	for _, m := range metas {
		last = max(last, m.Index)
	}
	if applied := c.Catalog.AppliedIndex(); applied > last {
		return fmt.Errorf("the catalog has applied entry %d, but the log in %s ends at %d: it was removed or put back from an older copy; put back the log that belongs to the catalog", applied, c.Dir, last)
	}
	return nil
}
