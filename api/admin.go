package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"firescan/cluster"
)

// Members lists and removes the nodes of the cluster; *cluster.Cluster does.
type Members interface {
	Members(ctx context.Context) ([]cluster.Member, error)
	Peers() []cluster.Peer
	Remove(ctx context.Context, id string) error
}

// Keys replaces the key that credentials are encrypted with.
type Keys interface {
	// Rotate returns the number of destinations whose credentials were encrypted again.
	Rotate(ctx context.Context) (int, error)
}

// ClusterSecret replaces the secret that the nodes share.
type ClusterSecret interface {
	// RotateSecret returns the number of nodes.
	RotateSecret(ctx context.Context) (int, error)
}

// admin has the handlers that run the cluster.
type admin struct {
	members Members
	keys    Keys
	secret  ClusterSecret
}

// memberView is a node of the cluster in responses.
type memberView struct {
	ID           string `json:"id"`
	Address      string `json:"address"`
	Leader       bool   `json:"leader"`
	Voter        bool   `json:"voter"`
	State        string `json:"state"`
	AppliedIndex uint64 `json:"appliedIndex"`
	Version      string `json:"version"`
	Shards       int    `json:"shards"`
}

// nodes lists the nodes.
func (h *admin) nodes(c *call) error {
	members, err := h.members.Members(c.context())
	if err != nil {
		return err
	}
	views := make([]memberView, len(members))
	for i, m := range members {
		views[i] = memberView{m.ID, cmp.Or(m.HTTPAddress, m.Address), m.Leader, m.Voter, m.State, m.AppliedIndex, m.Version, m.Shards}
	}
	return c.respond(envelope{Data: struct {
		Nodes []memberView `json:"nodes"`
	}{views}})
}

// removeNode removes a node from the cluster.
func (h *admin) removeNode(c *call) error {
	id := c.id()
	if !slices.ContainsFunc(h.members.Peers(), func(p cluster.Peer) bool { return p.ID == id }) {
		return &Error{Code: CodeNotFound, Message: fmt.Sprintf("There is no node %q in the cluster", id)}
	}
	if err := h.members.Remove(c.context(), id); err != nil {
		return err
	}
	c.log.Info("a node was removed from the cluster", "removed", id)
	return c.respond(envelope{Message: "Node removed"})
}

func (h *admin) rotateKeys(c *call) error {
	if err := c.noBody(); err != nil {
		return err
	}
	n, err := h.keys.Rotate(c.context())
	if err != nil {
		return err
	}
	c.log.Info("the key for credentials was rotated", "destinations", n)
	return c.respond(envelope{
		Message: fmt.Sprintf("Key rotated; the credentials of %d destinations were encrypted again", n),
		Data: struct {
			Destinations int `json:"destinations"`
		}{n},
	})
}

func (h *admin) rotateSecret(c *call) error {
	if err := c.noBody(); err != nil {
		return err
	}
	n, err := h.secret.RotateSecret(c.context())
	if err != nil {
		return err
	}
	c.log.Info("the cluster secret was rotated", "nodes", n)
	return c.respond(envelope{
		Message: fmt.Sprintf("Cluster secret rotated on %d nodes", n),
		Data: struct {
			Nodes int `json:"nodes"`
		}{n},
	})
}
