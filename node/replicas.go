package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/index"
	"firescan/scanner"
)

const (
	// segmentPath is where a node hands sealed segments out to others.
	segmentPath = "/segments/{destination}/{segment}"
	// copyBlock is what is copied between two looks at the bandwidth, in bytes.
	copyBlock = 128 << 10
	// copyIdle is how long a copy may stand still.
	copyIdle = 20 * time.Second
)

// replicas are the shards of the other nodes, as scanner.Replicas.
type replicas struct {
	cluster *cluster.Cluster
	index   *index.Store
	// bandwidth bounds what this node copies, all segments together; nil is no bound.
	bandwidth *rate.Limiter
}

var _ scanner.Replicas = (*replicas)(nil)

// newReplicas makes them; perSecond is in bytes, 0 is no bound.
func newReplicas(c *cluster.Cluster, store *index.Store, perSecond int) *replicas {
	r := &replicas{cluster: c, index: store}
	if perSecond > 0 {
		r.bandwidth = rate.NewLimiter(rate.Limit(perSecond), max(perSecond, copyBlock))
	}
	return r
}

// Members implements scanner.Replicas.
func (r *replicas) Members() []scanner.Member {
	peers := r.cluster.Peers()
	members := make([]scanner.Member, len(peers))
	for i, p := range peers {
		members[i] = scanner.Member{ID: p.ID, Alive: p.Alive || p.Self}
	}
	return members
}

func segmentURL(node, destination, segment string) string {
	u := url.URL{Scheme: "https", Host: node, Path: "/segments/" + destination + "/" + segment}
	return u.String()
}

// Held implements scanner.Replicas.
func (r *replicas) Held(ctx context.Context, node, destination, segment string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, segmentURL(node, destination, segment), nil)
	if err != nil {
		return false, err
	}
	resp, err := r.cluster.HTTPClient().Do(req)
	if err != nil {
		return false, fmt.Errorf("ask node %s for a segment: %w", node, err)
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusNotFound:
		return false, nil
	}
	return false, fmt.Errorf("ask node %s for a segment: it answers %s", node, resp.Status)
}

// Fetch implements scanner.Replicas. It goes on where an earlier copy of the same file was
// broken off.
func (r *replicas) Fetch(ctx context.Context, node, destination string, s *pb.Segment) (err error) {
	in, err := r.index.Receive(destination, s.Id)
	if err != nil {
		return err
	}
	if err := r.copy(ctx, in, node, destination, s.Id); err != nil {
		return errors.Join(err, in.Close())
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, segmentURL(node, destination, segment), nil)
	if err != nil {
		return err
	}
	if in.Offset() > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", in.Offset()))
		req.Header.Set("If-Range", `"`+in.Tag()+`"`)
	}
	resp, err := r.cluster.HTTPClient().Do(req)
	if err != nil {
		return fmt.Errorf("fetch segment %s from node %s: %w", segment, node, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK:
		if err := in.Begin(strings.Trim(resp.Header.Get("ETag"), `"`)); err != nil {
			return err
		}
	case http.StatusRequestedRangeNotSatisfiable: // all of it is here
		return nil
	case http.StatusNotFound:
		return fmt.Errorf("%w: segment %s on node %s", scanner.ErrNotHeld, segment, node)
	default:
		return fmt.Errorf("fetch segment %s from node %s: it answers %s", segment, node, resp.Status)
	}
	block := make([]byte, copyBlock)
	for {
		n, err := io.ReadFull(resp.Body, block)
		stalled.Reset(copyIdle)
		if r.bandwidth != nil && n > 0 {
			if err := r.bandwidth.WaitN(ctx, n); err != nil {
				return err
			}
			stalled.Reset(copyIdle)
		}
		if _, err := in.Write(block[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // Commit tells whether that was all
		}
		if err != nil {
			return fmt.Errorf("fetch segment %s from node %s: %w", segment, node, err)
		}
	}
}

// serveSegment hands a sealed segment out to another node.
func (r *replicas) serveSegment(w http.ResponseWriter, q *http.Request) {
	f, tag, err := r.index.OpenSealed(q.PathValue("destination"), q.PathValue("segment"))
	if err != nil {
		http.Error(w, "no such segment here", http.StatusNotFound)
		return
	}
	defer f.Close()
	w.Header().Set("ETag", `"`+tag+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, q, "", time.Time{}, f)
}
