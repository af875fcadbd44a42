package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"firescan/cluster"
)

// orderTimeout bounds an order to one node.
const orderTimeout = 10 * time.Second

// secretRotation replaces the cluster secret while the cluster runs. It does so in steps, of
// which each is complete on all nodes before the next begins, so that nodes which are one
// step apart communicate, and each may restart at any time:
//
//  1. accept: the nodes accept the new secret, and use the old one;
//  2. use: they use the new one, and accept the old one; the keyset is encrypted with the new;
//  3. drop: the old one is forgotten.
//
// The leader rotates. It asks all nodes first, and completes a rotation that another leader
// has begun. A node that cannot be reached ends the rotation where it is: nothing is lost, and
// the next one completes it.
type secretRotation struct {
	cluster *cluster.Cluster
	keeper  *secretKeeper
	keys    *keys
	self    string
	log     *slog.Logger
}

// RotateSecret replaces the cluster secret on all nodes, and returns their number. It
// implements api.ClusterSecret.
func (r *secretRotation) RotateSecret(ctx context.Context) (int, error) {
	leader, ok := r.cluster.Leader()
	if !ok {
		return 0, cluster.ErrNoLeader
	}
	if leader == r.self {
		return r.rotate(ctx)
	}
	text, err := r.post(ctx, leader, secretsPath+"/rotate", nil)
	if err != nil {
		if errors.Is(err, cluster.ErrNoLeader) {
			return 0, err
		}
		return 0, fmt.Errorf("%w: %w", cluster.ErrRefused, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// ServeHTTP lets another node rotate through this leader.
func (r *secretRotation) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	n, err := r.rotate(request.Context())
	if err != nil {
		status := http.StatusConflict
		if errors.Is(err, cluster.ErrNoLeader) {
			status = http.StatusServiceUnavailable
		}
		http.Error(w, strings.TrimPrefix(err.Error(), cluster.ErrRefused.Error()+": "), status)
		return
	}
	_, _ = fmt.Fprintln(w, n) // the caller sees what is missing
}

func (r *secretRotation) rotate(ctx context.Context) (int, error) {
	// The orders of two at the same time would leave nodes without a common secret.
	if !r.keeper.rotating.TryLock() {
		return 0, fmt.Errorf("%w: the cluster secret is being rotated already; wait until that has ended", cluster.ErrRefused)
	}
	defer r.keeper.rotating.Unlock()
	term := r.cluster.Term()
	if term == 0 {
		return 0, cluster.ErrNoLeader
	}
	s, err := r.begun(ctx, term)
	if err != nil {
		return 0, err
	}
	if s.Previous != nil { // one that was begun may have been begun long ago
		if s, err = r.finish(ctx, term, s); err != nil {
			return 0, err
		}
	}
	if s.Next == nil {
		s.Next = newSecret()
	}
	r.log.Info("rotation of the cluster secret: all nodes accept the new one")
	if err := r.order(ctx, term, s); err != nil {
		return 0, err
	}
	_, err = r.finish(ctx, term, secrets{Current: s.Next, Previous: s.Current, Retired: s.Retired})
	return len(r.cluster.Peers()), err
}

// finish makes all nodes, which accept both secrets, use the current one and drop the
// previous one.
func (r *secretRotation) finish(ctx context.Context, term uint64, s secrets) (secrets, error) {
	r.log.Info("rotation of the cluster secret: all nodes use the new one")
	if err := r.order(ctx, term, s); err != nil {
		return s, err
	}
	if err := r.keys.rewrap(ctx, r.cluster); err != nil {
		return s, err
	}
	r.log.Info("rotation of the cluster secret: all nodes drop the old one")
	s = secrets{Current: s.Current, Retired: append(slices.Clone(s.Retired), digest(s.Previous))}
	return s, r.order(ctx, term, s)
}

// begun returns the secrets of a rotation that was begun, or those of this node. It also
// ends the rotation of an earlier leader, whose orders the nodes refuse from now on.
func (r *secretRotation) begun(ctx context.Context, term uint64) (secrets, error) {
	s, err := r.keeper.obey(secretsOrder{Term: term})
	if err != nil {
		return s, err
	}
	for _, p := range r.cluster.Peers() {
		if p.Self {
			continue
		}
		theirs, err := r.tell(ctx, p.ID, secretsOrder{Term: term})
		switch {
		case err != nil:
			return s, err
		case theirs.Previous != nil && s.Previous == nil, theirs.Next != nil && s.Previous == nil && s.Next == nil:
			s = theirs
		}
	}
	return s, nil
}

// order makes all nodes have secrets. This node comes last: until then the others know the
// one that it uses.
func (r *secretRotation) order(ctx context.Context, term uint64, s secrets) error {
	for _, p := range r.cluster.Peers() {
		if p.Self {
			continue
		}
		if _, err := r.tell(ctx, p.ID, secretsOrder{term, &s}); err != nil {
			return err
		}
	}
	if r.cluster.Term() != term {
		return cluster.ErrNoLeader
	}
	_, err := r.keeper.obey(secretsOrder{term, &s})
	return err
}

// tell sends an order to a node.
func (r *secretRotation) tell(ctx context.Context, node string, order secretsOrder) (s secrets, err error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	body, err := json.Marshal(order)
	if err != nil {
		return s, err
	}
	// A node that has not yet applied what the order needs does so within moments.
	for {
		text, err := r.post(ctx, node, secretsPath, body)
		if err == nil {
			return s, json.Unmarshal(text, &s)
		}
		select {
		case <-time.After(orderTimeout / 20):
		case <-ctx.Done():
			return s, fmt.Errorf("%w: node %s did not take part in the rotation of the cluster secret: %w; start it, or remove it from the cluster, "+
				"and rotate again: until then the nodes accept both secrets", cluster.ErrRefused, node, err)
		}
	}
}

func (r *secretRotation) post(ctx context.Context, node, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+node+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := r.cluster.HTTPClient().Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxSecrets))
	if err != nil {
		return nil, err
	}
	switch answer := strings.TrimSpace(string(text)); response.StatusCode {
	case http.StatusOK:
		return text, nil
	case http.StatusServiceUnavailable:
		return nil, fmt.Errorf("%w (node %s: %s)", cluster.ErrNoLeader, node, answer)
	case http.StatusNotFound:
		return nil, fmt.Errorf("node %s has an earlier version of firescan, without this command: upgrade it", node)
	default:
		return nil, fmt.Errorf("node %s: %s", node, answer)
	}
}
