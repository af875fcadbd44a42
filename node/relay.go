package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"firescan/api"
	"firescan/cluster"
)

const (
	eventsPath = "/events"
	// relayQueue is how many events a peer may be behind; older ones are of no use then.
	relayQueue = 64
	// relayTimeout bounds the telling of one event to one peer.
	relayTimeout = 2 * time.Second
	// relayIdle is how long it is remembered that a peer was told something.
	relayIdle = time.Minute
	maxEvent  = 1 << 20
)

// relay tells the events of this node to the clients of all nodes: a client may be on any.
type relay struct {
	cluster *cluster.Cluster
	log     *slog.Logger

	mu    sync.Mutex
	boxes map[string]*outbox // by peer
	fresh chan struct{}      // has one place: there is a box that nobody serves yet
}

// relayed is an event on its way.
type relayed struct {
	Org  string          `json:"org"`
	Name string          `json:"name"`
	Key  string          `json:"key,omitempty"`
	Last bool            `json:"last,omitempty"`
	Data json.RawMessage `json:"data"`
}

func newRelay(c *cluster.Cluster, log *slog.Logger) *relay {
	return &relay{cluster: c, log: log, boxes: map[string]*outbox{}, fresh: make(chan struct{}, 1)}
}

// run relays until ctx ends.
func (r *relay) run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		select {
		case <-r.fresh:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		r.mu.Lock()
		for peer, box := range r.boxes {
			if !box.served {
				box.served = true
				work.Go(func() { r.serve(ctx, peer, box) })
			}
		}
		r.mu.Unlock()
	}
}

// publish tells an event to the other nodes that are there. It does not wait: what a
// peer does not take in time is overtaken by what comes later, or missed.
func (r *relay) publish(e api.Event) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return // our own types encode
	}
	event, err := json.Marshal(relayed{e.Org, e.Name, e.Key, e.Last, data})
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.cluster.Peers() {
		if p.Self || !p.Alive {
			continue
		}
		box := r.boxes[p.ID]
		if box == nil {
			box = &outbox{filled: make(chan struct{}, 1)}
			r.boxes[p.ID] = box
			notify(r.fresh)
		}
		box.put(letter{e.Key, e.Last, event})
	}
}

// serve sends a peer its events in order, until there have been none for long.
func (r *relay) serve(ctx context.Context, peer string, box *outbox) {
	idle := time.NewTimer(relayIdle)
	defer idle.Stop()
	for {
		r.mu.Lock()
		next, ok := box.take()
		r.mu.Unlock()
		if ok {
			if err := r.send(ctx, peer, next.event); err != nil && ctx.Err() == nil {
				r.log.Debug("an event could not be told to a peer", "peer", peer, "error", err)
			}
			idle.Reset(relayIdle)
			continue
		}
		select {
		case <-box.filled:
		case <-idle.C:
			r.mu.Lock()
			empty := len(box.letters) == 0
			if empty {
				delete(r.boxes, peer)
			}
			r.mu.Unlock()
			if empty {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (r *relay) send(ctx context.Context, peer string, event []byte) error {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+peer+eventsPath, bytes.NewReader(event))
	if err != nil {
		return err
	}
	resp, err := r.cluster.HTTPClient().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// notify fills a channel of one place, unless it is full.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tell publishes an event to the clients of all nodes.
func (n *Node) tell(e api.Event) {
	n.api.Publish(e)
	n.relay.publish(e)
}

// takeEvent takes an event of another node for the clients of this one.
func (n *Node) takeEvent(w http.ResponseWriter, r *http.Request) {
	var e relayed
	if err := json.NewDecoder(io.LimitReader(r.Body, maxEvent)).Decode(&e); err != nil {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	n.api.Publish(api.Event{Org: e.Org, Name: e.Name, Key: e.Key, Last: e.Last, Data: e.Data})
	w.WriteHeader(http.StatusNoContent)
}
