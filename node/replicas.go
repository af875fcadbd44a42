package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/index"
	"firescan/replica"
)

const (
	// copyBlock is what is copied between two looks at the bandwidth, in bytes.
	copyBlock = 128 << 10
	// copyIdle is how long a copy may stand still.
	copyIdle = 20 * time.Second
	// heldAtOnce bounds the segments that a node is asked for in one request.
	heldAtOnce = 5000
)

// replicas are the shards of the other nodes, as replica.Peers.
type replicas struct {
	cluster *cluster.Cluster
	index   *index.Store
	// bandwidth bounds what this node copies, all segments together; nil is no bound.
	bandwidth *rate.Limiter
	blocks    sync.Pool // of *[]byte

	copied prometheus.Counter
	pulls  *prometheus.CounterVec
}

var _ replica.Peers = (*replicas)(nil)

// newReplicas makes them; perSecond is in bytes, 0 is no bound.
func newReplicas(c *cluster.Cluster, store *index.Store, perSecond int, registry prometheus.Registerer) *replicas {
	r := &replicas{
		cluster: c, index: store,
		copied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_replica_bytes_total", Help: "Bytes of other nodes' shards that this node copied.",
		}),
		pulls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_replica_pulls_total", Help: "Segments that this node asked other nodes for, by what came of it.",
		}, []string{"outcome"}),
	}
	r.blocks.New = func() any { b := make([]byte, copyBlock); return &b }
	registry.MustRegister(r.copied, r.pulls)
	for _, outcome := range []string{pullCopied, pullAbsent, pullDamaged, pullFailed} {
		r.pulls.WithLabelValues(outcome)
	}
	if perSecond > 0 {
		r.bandwidth = rate.NewLimiter(rate.Limit(perSecond), max(perSecond, copyBlock))
	}
	return r
}

// What comes of asking another node for a segment.
const (
	pullCopied  = "copied"
	pullAbsent  = "absent"  // the node does not have it
	pullDamaged = "damaged" // what came is not the segment
	pullFailed  = "failed"
)

// Members implements replica.Peers.
func (r *replicas) Members() []replica.Member {
	peers := r.cluster.Peers()
	members := make([]replica.Member, len(peers))
	for i, p := range peers {
		members[i] = replica.Member{ID: p.ID, Alive: p.Alive || p.Self}
	}
	return members
}

func segmentsURL(node string, parts ...string) string {
	u := url.URL{Scheme: "https", Host: node, Path: "/segments/" + strings.Join(parts, "/")}
	return u.String()
}

// Held implements replica.Peers.
func (r *replicas) Held(ctx context.Context, node, destination string, segments []string) ([]bool, error) {
	held := make([]bool, 0, len(segments))
	for ids := range slices.Chunk(segments, heldAtOnce) {
		some, err := r.held(ctx, node, destination, ids)
		if err != nil {
			return nil, fmt.Errorf("ask node %s which segments it has: %w", node, err)
		}
		held = append(held, some...)
	}
	return held, nil
}

func (r *replicas) held(ctx context.Context, node, destination string, ids []string) (held []bool, err error) {
	body, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, segmentsURL(node, destination), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := r.cluster.HTTPClient().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxHeld)).Decode(&held); err != nil {
		return nil, err
	}
	if len(held) != len(ids) {
		return nil, fmt.Errorf("it answers for %d of %d", len(held), len(ids))
	}
	return held, nil
}

// Fetch implements replica.Peers.
func (r *replicas) Fetch(ctx context.Context, node, destination string, s *pb.Segment) error {
	err := r.fetch(ctx, node, destination, s)
	outcome := pullFailed
	switch _, damaged := errors.AsType[*index.CorruptError](err); {
	case err == nil:
		outcome = pullCopied
	case errors.Is(err, replica.ErrNoSegment):
		outcome = pullAbsent
	case damaged:
		outcome = pullDamaged
	case ctx.Err() != nil:
		return err // nobody wants it any more
	}
	r.pulls.WithLabelValues(outcome).Inc()
	return err
}

func (r *replicas) fetch(ctx context.Context, node, destination string, s *pb.Segment) (err error) {
	in, err := r.index.Receive(destination, s.Id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if err := r.copy(ctx, in, node, destination, s.Id); err != nil {
		return fmt.Errorf("copy segment %s from node %s: %w", s.Id, node, err)
	}
	if err := in.Commit(s.Checksum); err != nil {
		return fmt.Errorf("copy from node %s: %w", node, err)
	}
	return nil
}

func (r *replicas) copy(ctx context.Context, in *index.Incoming, node, destination, segment string) error {
	// What stands still is given up.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(copyIdle, func() { cancel(fmt.Errorf("nothing came for %v", copyIdle)) })
	defer stalled.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, segmentsURL(node, destination, segment), nil)
	if err != nil {
		return err
	}
	if in.Offset() > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", in.Offset()))
		req.Header.Set("If-Range", `"`+in.Tag()+`"`)
	}
	resp, err := r.cluster.HTTPClient().Do(req)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer resp.Body.Close()
	tag := strings.Trim(resp.Header.Get("ETag"), `"`)
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if tag != in.Tag() {
			return errors.New("it answers a part of another file")
		}
	case http.StatusOK:
		if err := in.Begin(tag); err != nil {
			return err
		}
	case http.StatusRequestedRangeNotSatisfiable: // all of it is here
		return nil
	case http.StatusNotFound:
		return replica.ErrNoSegment
	default:
		return fmt.Errorf("it answers %s", resp.Status)
	}
	block := r.blocks.Get().(*[]byte)
	defer r.blocks.Put(block)
	for got := int64(0); ; {
		n, err := io.ReadFull(resp.Body, *block)
		stalled.Reset(copyIdle)
		if r.bandwidth != nil && n > 0 {
			if err := r.bandwidth.WaitN(ctx, n); err != nil {
				return err
			}
			stalled.Reset(copyIdle)
		}
		if _, err := in.Write((*block)[:n]); err != nil {
			return err
		}
		got += int64(n)
		r.copied.Add(float64(n))
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return errors.Join(err, context.Cause(ctx))
		case got < resp.ContentLength:
			return io.ErrUnexpectedEOF
		default:
			return nil
		}
	}
}
