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
	maxEvent     = 1 << 20
)

// relay tells the events of this node to the clients of all nodes: a client may be on any.
type relay struct {
	cluster *cluster.Cluster
	log     *slog.Logger
	events  chan []byte
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
	return &relay{cluster: c, log: log, events: make(chan []byte, relayQueue)}
}

// publish tells an event to the other nodes that are there. It does not wait: what a
// peer does not take in time it misses, as a slow client would.
func (r *relay) publish(e api.Event) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return // our own types encode
	}
	event, err := json.Marshal(relayed{e.Org, e.Name, e.Key, e.Last, data})
	if err != nil {
		return
	}
	select {
	case r.events <- event:
	default:
	}
}

// run relays until ctx ends.
func (r *relay) run(ctx context.Context) error {
	queues := map[string]chan []byte{} // by peer
	var work sync.WaitGroup
	defer work.Wait()
	for {
		var event []byte
		select {
		case event = <-r.events:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, p := range r.cluster.Peers() {
			if p.Self || !p.Alive {
				continue
			}
			queue := queues[p.ID]
			if queue == nil {
				queue = make(chan []byte, relayQueue)
				queues[p.ID] = queue
				work.Go(func() { r.serve(ctx, p.ID, queue) })
			}
			select {
			case queue <- event:
			default:
			}
		}
	}
}

// serve sends a peer its events in order.
func (r *relay) serve(ctx context.Context, peer string, queue <-chan []byte) {
	for {
		select {
		case event := <-queue:
			if err := r.send(ctx, peer, event); err != nil && ctx.Err() == nil {
				r.log.Debug("an event could not be told to a peer", "peer", peer, "error", err)
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
