package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/raft"

	"firescan/catalog"
	cpb "firescan/cluster/clusterpb"
)

const (
	// verdictTimeout bounds how long a deletion waits for the verdicts of other nodes, and
	// verdictWait how long such a node waits until it has applied the deletion.
	verdictTimeout = 5 * time.Second
	verdictWait    = 4 * time.Second
)

// verdicts compares what the nodes have decided on deletions.
type verdicts struct {
	members *members
	catalog *catalog.Catalog
	logger  *slog.Logger
	work    *sync.WaitGroup
}

// A nodeVerdict is the response of a node.
type nodeVerdict struct {
	id     string
	digest []byte
	err    error
}

// confirm implements Cluster.Confirm.
func (s *verdicts) confirm(ctx context.Context, want catalog.Verdict) error {
	var voters []string
	for _, server := range s.members.servers() {
		if server.Suffrage == raft.Voter {
			voters = append(voters, string(server.ID))
		}
	}
	// The proposer has applied the decision, so this index is not before it.
	request := &cpb.VerdictRequest{Org: want.Org, Intent: want.Intent, Index: s.catalog.AppliedIndex()}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), verdictTimeout)
	responses := make(chan nodeVerdict, len(voters))
	for _, id := range voters {
		s.work.Go(func() {
			digest, err := s.ask(asking, id, request)
			responses <- nodeVerdict{id, digest, err}
		})
	}
	counts := map[string]int{}
	var all []nodeVerdict
	for range voters {
		var r nodeVerdict
		select {
		case r = <-responses:
		case <-ctx.Done():
			cancel()
			return context.Cause(ctx)
		}
		if all = append(all, r); r.err != nil {
			continue
		}
		digest := string(r.digest)
		if counts[digest]++; counts[digest] <= len(voters)/2 {
			continue
		}
		// Others may still be sending the request, so this is another one.
		notice := &cpb.VerdictRequest{Org: request.Org, Intent: request.Intent, Index: request.Index, Majority: r.digest}
		s.work.Go(func() {
			defer cancel()
			s.setAside(asking, notice, all, responses, len(voters))
		})
		if !bytes.Equal(r.digest, want.Digest) {
			return fmt.Errorf("%w (deletion %s)", ErrDissent, want.Intent)
		}
		return nil
	}
	cancel()
	return s.unconfirmed(all, want)
}

// ask returns the digest of a node's verdict.
func (s *verdicts) ask(ctx context.Context, id string, request *cpb.VerdictRequest) ([]byte, error) {
	var response *cpb.VerdictResponse
	var err error
	if id == s.members.id {
		response, err = s.serve(ctx, request)
	} else {
		response, err = s.members.rpc(id).Verdict(ctx, request)
	}
	switch {
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return nil, errors.New("its version cannot confirm deletions: upgrade it")
	case err != nil:
		return nil, err
	case response.Behind:
		return nil, errors.New("it has not applied the deletion yet")
	case response.Ended:
		return nil, errors.New("the deletion has an outcome already")
	}
	return response.Digest, nil
}

// setAside waits for the responses that are left, and notifies the nodes that differ from
// the majority.
func (s *verdicts) setAside(ctx context.Context, request *cpb.VerdictRequest, all []nodeVerdict, left <-chan nodeVerdict, voters int) {
	for len(all) < voters {
		all = append(all, <-left)
	}
	for _, r := range all {
		if r.err != nil || bytes.Equal(r.digest, request.Majority) {
			continue
		}
		s.logger.Error("the catalog of a node is damaged: it decided otherwise than the majority about a deletion, and replaces its catalog",
			"peer", r.id, "intent", request.Intent)
		if _, err := s.ask(ctx, r.id, request); err != nil {
			s.logger.Warn("the node with the damaged catalog was not notified; the next deletion does it", "peer", r.id, "error", err)
		}
	}
}

// unconfirmed returns the error when no majority has one verdict.
func (s *verdicts) unconfirmed(all []nodeVerdict, want catalog.Verdict) error {
	var reasons []string
	for _, r := range all {
		switch {
		case r.err != nil:
			reasons = append(reasons, fmt.Sprintf("node %s: %v", r.id, r.err))
		case !bytes.Equal(r.digest, want.Digest):
			reasons = append(reasons, fmt.Sprintf("node %s decided otherwise", r.id))
		}
	}
	return fmt.Errorf("%w: %s", ErrUnconfirmed, strings.Join(reasons, "; "))
}

// serve returns the verdict of this node. A majority that differs from it means that the
// catalog of this node is damaged.
func (s *verdicts) serve(ctx context.Context, r *cpb.VerdictRequest) (*cpb.VerdictResponse, error) {
	waiting, cancel := context.WithTimeout(ctx, verdictWait)
	defer cancel()
	if err := s.catalog.WaitApplied(waiting, r.Index); err != nil {
		return &cpb.VerdictResponse{Behind: true}, nil
	}
	var v catalog.Verdict
	var ended bool
	if err := s.catalog.View(func(tx *catalog.Tx) (err error) {
		v, ended, err = tx.Verdict(r.Org, r.Intent)
		return err
	}); err != nil {
		return nil, err
	}
	if ended { // a slow node is not a damaged one
		return &cpb.VerdictResponse{Ended: true}, nil
	}
	if len(r.Majority) > 0 && !bytes.Equal(r.Majority, v.Digest) {
		_ = s.catalog.MarkDamaged(fmt.Sprintf("a majority of the nodes has decided otherwise about deletion %s", r.Intent))
	}
	return &cpb.VerdictResponse{Digest: v.Digest}, nil
}
