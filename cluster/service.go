package cluster

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/raft"

	cpb "firescan/cluster/clusterpb"
	rpc "firescan/cluster/clusterpb/clusterpbconnect"
)

// maxMessage bounds the messages between nodes, in bytes.
const maxMessage = 32 << 20

// service is what this node answers to others.
type service struct{ *Cluster }

var _ rpc.PeerHandler = service{}

func newPeerHandler(c *Cluster) (string, http.Handler) {
	return rpc.NewPeerHandler(service{c}, connect.WithReadMaxBytes(maxMessage))
}

// Propose implements the RPC.
func (s service) Propose(ctx context.Context, r *cpb.ProposeRequest) (*cpb.ProposeResponse, error) {
	fail := func(kind cpb.Failure, err error) (*cpb.ProposeResponse, error) {
		return &cpb.ProposeResponse{Failure: kind, Message: err.Error()}, nil
	}
	if t, _, _ := s.leads(); t == nil {
		return fail(cpb.Failure_FAILURE_NO_LEADER, ErrNoLeader)
	}
	if s.fsm.full.Load() {
		return fail(cpb.Failure_FAILURE_FULL, ErrFull)
	}
	results, index, err := s.apply(ctx, r.Entries)
	switch {
	case err == nil:
		return &cpb.ProposeResponse{Results: results, Index: index}, nil
	case errors.Is(err, ErrNoLeader) && len(results) == 0:
		return fail(cpb.Failure_FAILURE_NO_LEADER, err)
	}
	return fail(cpb.Failure_FAILURE_UNKNOWN, err)
}

// Barrier implements the RPC.
func (s service) Barrier(ctx context.Context, _ *cpb.BarrierRequest) (*cpb.BarrierResponse, error) {
	index, err := s.ownIndex(ctx)
	if err != nil {
		return &cpb.BarrierResponse{Failure: cpb.Failure_FAILURE_NO_LEADER, Message: err.Error()}, nil //nolint:nilerr // told in the answer
	}
	return &cpb.BarrierResponse{Index: index}, nil
}

// Status implements the RPC.
func (s service) Status(context.Context, *cpb.StatusRequest) (*cpb.StatusResponse, error) {
	return s.status(), nil
}

// status is how this node is.
func (c *Cluster) status() *cpb.StatusResponse {
	me := c.identity.get()
	term, _ := strconv.ParseUint(c.raft.Stats()["last_log_term"], 10, 64)
	contact := int64(-1)
	if last := c.raft.LastContact(); c.raft.State() == raft.Leader {
		contact = 0
	} else if !last.IsZero() {
		contact = time.Since(last).Milliseconds()
	}
	shards := 0
	if c.config.Shards != nil {
		shards = c.config.Shards()
	}
	return &cpb.StatusResponse{
		Id: c.id, ClusterId: me.Cluster, Instance: me.Instance, Fresh: me.Stage != stageMember,
		AppliedIndex: c.catalog.AppliedIndex(), LastLogIndex: c.raft.LastIndex(), LastLogTerm: term, LastContactMs: contact,
		Version: c.config.Version, HttpAddress: c.config.HTTPAddress,
		Shards: uint32(max(shards, 0)), //nolint:gosec // a count of directories
	}
}
