package replica

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
	"firescan/index"
)

const (
	// copyBlock is how many bytes are copied between two checks of the bandwidth.
	copyBlock = 128 << 10
	// copyIdle is how long a copy may make no progress.
	copyIdle = 20 * time.Second
	// heldAtOnce bounds the segments that one request asks about.
	heldAtOnce = 5000
)

// The outcomes of a request for a segment.
const (
	fetchCopied  = "copied"
	fetchAbsent  = "absent"  // the node does not have it
	fetchDamaged = "damaged" // the received file is not the segment
	fetchFailed  = "failed"
)

// HTTPConfig configures HTTPPeers.
type HTTPConfig struct {
	// Index has the segments of this node.
	Index *index.Store
	// Members returns the nodes of the cluster.
	Members func() []Member
	// Client sends requests to "https://<node id>/…".
	Client *http.Client
	// Bandwidth bounds the bytes per second that this node copies; 0 means no limit.
	Bandwidth  int
	Registerer prometheus.Registerer
}

// HTTPPeers copies segments between nodes over HTTP.
type HTTPPeers struct {
	config HTTPConfig
	// bandwidth bounds all copies together; nil means no limit.
	bandwidth *rate.Limiter
	blocks    sync.Pool // of *[]byte

	copied  prometheus.Counter
	fetches *prometheus.CounterVec
}

var _ Peers = (*HTTPPeers)(nil)

// NewHTTPPeers returns peers whose handlers are not registered yet.
func NewHTTPPeers(c HTTPConfig) *HTTPPeers {
	p := &HTTPPeers{
		config: c,
		copied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_replica_bytes_total", Help: "Bytes of shards that this node copied from other nodes.",
		}),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firescan_replica_pulls_total", Help: "Segments that this node requested from other nodes, by outcome.",
		}, []string{"outcome"}),
	}
	p.blocks.New = func() any { b := make([]byte, copyBlock); return &b }
	c.Registerer.MustRegister(p.copied, p.fetches)
	for _, outcome := range []string{fetchCopied, fetchAbsent, fetchDamaged, fetchFailed} {
		p.fetches.WithLabelValues(outcome)
	}
	if c.Bandwidth > 0 {
		p.bandwidth = rate.NewLimiter(rate.Limit(c.Bandwidth), max(c.Bandwidth, copyBlock))
	}
	return p
}

// Members implements Peers.
func (p *HTTPPeers) Members() []Member { return p.config.Members() }

func segmentsURL(node string, parts ...string) string {
	u := url.URL{Scheme: "https", Host: node, Path: "/segments/" + strings.Join(parts, "/")}
	return u.String()
}

// Held implements Peers.
func (p *HTTPPeers) Held(ctx context.Context, node, destination string, segments []string) ([]bool, error) {
	held := make([]bool, 0, len(segments))
	for ids := range slices.Chunk(segments, heldAtOnce) {
		some, err := p.held(ctx, node, destination, ids)
		if err != nil {
			return nil, fmt.Errorf("list the segments of node %s: %w", node, err)
		}
		held = append(held, some...)
	}
	return held, nil
}

func (p *HTTPPeers) held(ctx context.Context, node, destination string, ids []string) (held []bool, err error) {
	body, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, segmentsURL(node, destination), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := p.config.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it responded %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxHeld)).Decode(&held); err != nil {
		return nil, err
	}
	if len(held) != len(ids) {
		return nil, fmt.Errorf("it responded about %d of %d segments", len(held), len(ids))
	}
	return held, nil
}

// Fetch implements Peers.
func (p *HTTPPeers) Fetch(ctx context.Context, node, destination string, s *pb.Segment) error {
	err := p.fetch(ctx, node, destination, s)
	outcome := fetchFailed
	switch _, damaged := errors.AsType[*index.CorruptError](err); {
	case err == nil:
		outcome = fetchCopied
	case errors.Is(err, ErrNoSegment):
		outcome = fetchAbsent
	case damaged:
		outcome = fetchDamaged
	case ctx.Err() != nil:
		return err // not a failure of the node
	}
	p.fetches.WithLabelValues(outcome).Inc()
	return err
}

func (p *HTTPPeers) fetch(ctx context.Context, node, destination string, s *pb.Segment) (err error) {
	in, err := p.config.Index.Receive(destination, s.Id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if err := p.copy(ctx, in, node, destination, s.Id); err != nil {
		return fmt.Errorf("copy segment %s from node %s: %w", s.Id, node, err)
	}
	if err := in.Commit(s.Checksum); err != nil {
		return fmt.Errorf("copy from node %s: %w", node, err)
	}
	return nil
}

func (p *HTTPPeers) copy(ctx context.Context, in *index.Incoming, node, destination, segment string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(copyIdle, func() { cancel(fmt.Errorf("no data for %v", copyIdle)) })
	defer stalled.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, segmentsURL(node, destination, segment), nil)
	if err != nil {
		return err
	}
	if in.Offset() > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", in.Offset()))
		req.Header.Set("If-Range", `"`+in.Tag()+`"`)
	}
	resp, err := p.config.Client.Do(req)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer resp.Body.Close()
	tag := strings.Trim(resp.Header.Get("ETag"), `"`)
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if tag != in.Tag() {
			return errors.New("it sent a part of another file")
		}
	case http.StatusOK:
		if err := in.Begin(tag); err != nil {
			return err
		}
	case http.StatusRequestedRangeNotSatisfiable: // all of it was copied before
		return nil
	case http.StatusNotFound:
		return ErrNoSegment
	default:
		return fmt.Errorf("it responded %s", resp.Status)
	}
	block := p.blocks.Get().(*[]byte)
	defer p.blocks.Put(block)
	for got := int64(0); ; {
		n, err := io.ReadFull(resp.Body, *block)
		stalled.Reset(copyIdle)
		if p.bandwidth != nil && n > 0 {
			if err := p.bandwidth.WaitN(ctx, n); err != nil {
				return err
			}
			stalled.Reset(copyIdle)
		}
		if _, err := in.Write((*block)[:n]); err != nil {
			return err
		}
		got += int64(n)
		p.copied.Add(float64(n))
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
