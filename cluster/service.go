package cluster

import (
	"context"
	"errors"
	"time"

	cpb "firescan/cluster/clusterpb"
	rpc "firescan/cluster/clusterpb/clusterpbconnect"
)

// service serves the RPCs of other nodes.
type service struct {
	members    *members
	leadership *leadership
	reads      *reads
	proposer   *proposer
	bootstrap  *bootstrap
	removal    *removal
	verdicts   *verdicts
}

var _ rpc.PeerHandler = (*service)(nil)

// Propose implements the RPC.
func (s *service) Propose(ctx context.Context, r *cpb.ProposeRequest) (*cpb.ProposeResponse, error) {
	fail := func(kind cpb.Failure, err error) (*cpb.ProposeResponse, error) {
		return &cpb.ProposeResponse{Failure: kind, Message: err.Error()}, nil
	}
	if t, _, _ := s.leadership.current(); t == nil {
		return fail(cpb.Failure_FAILURE_NO_LEADER, ErrNoLeader)
	}
	if s.proposer.fsm.full.Load() {
		return fail(cpb.Failure_FAILURE_FULL, ErrFull)
	}
	// Nothing shows how long the request waited in the socket: after a freeze it may be old.
	results, index, err := s.proposer.apply(ctx, time.Now().Add(-drainTime), r.Entries)
	switch {
	case err == nil:
		return &cpb.ProposeResponse{Results: results, Index: index}, nil
	case errors.Is(err, ErrNoLeader) && len(results) == 0:
		return fail(cpb.Failure_FAILURE_NO_LEADER, err)
	}
	return fail(cpb.Failure_FAILURE_UNKNOWN, err)
}

// Barrier implements the RPC.
func (s *service) Barrier(ctx context.Context, _ *cpb.BarrierRequest) (*cpb.BarrierResponse, error) {
	index, err := s.reads.leaderIndex(ctx)
	if err != nil {
		return &cpb.BarrierResponse{Failure: cpb.Failure_FAILURE_NO_LEADER, Message: err.Error()}, nil //nolint:nilerr // in the response
	}
	return &cpb.BarrierResponse{Index: index}, nil
}

// Status implements the RPC.
func (s *service) Status(context.Context, *cpb.StatusRequest) (*cpb.StatusResponse, error) {
	return s.members.ownStatus(), nil
}

// Remove implements the RPC.
func (s *service) Remove(ctx context.Context, r *cpb.RemoveRequest) (*cpb.RemoveResponse, error) {
	switch err := s.removal.removeAsLeader(ctx, r.Id); {
	case err == nil:
		return &cpb.RemoveResponse{}, nil
	case errors.Is(err, ErrRefused):
		return &cpb.RemoveResponse{Failure: cpb.Failure_FAILURE_REFUSED, Message: err.Error()}, nil
	default:
		return &cpb.RemoveResponse{Failure: cpb.Failure_FAILURE_NO_LEADER, Message: err.Error()}, nil
	}
}

// Dismiss implements the RPC.
func (s *service) Dismiss(_ context.Context, r *cpb.DismissRequest) (*cpb.DismissResponse, error) {
	s.removal.dismiss(r)
	return &cpb.DismissResponse{}, nil
}

// Promise implements the RPC.
func (s *service) Promise(_ context.Context, r *cpb.PromiseRequest) (*cpb.PromiseResponse, error) {
	return &cpb.PromiseResponse{Refusal: message(s.bootstrap.promise(r))}, nil
}

// Release implements the RPC.
func (s *service) Release(_ context.Context, r *cpb.ReleaseRequest) (*cpb.ReleaseResponse, error) {
	s.bootstrap.release(r.ClusterId)
	return &cpb.ReleaseResponse{}, nil
}

// Founding implements the RPC.
func (s *service) Founding(_ context.Context, r *cpb.FoundingRequest) (*cpb.FoundingResponse, error) {
	return &cpb.FoundingResponse{Stands: s.members.identity.get().Cluster == r.ClusterId}, nil
}

// Admit implements the RPC.
func (s *service) Admit(_ context.Context, r *cpb.AdmitRequest) (*cpb.AdmitResponse, error) {
	return &cpb.AdmitResponse{Refusal: message(s.bootstrap.admit(r.ClusterId))}, nil
}

// Verdict implements the RPC.
func (s *service) Verdict(ctx context.Context, r *cpb.VerdictRequest) (*cpb.VerdictResponse, error) {
	return s.verdicts.serve(ctx, r)
}

// message returns the message of an error, empty for nil.
func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
