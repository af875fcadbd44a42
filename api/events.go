package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"firescan/catalog"
)

const (
	// eventQueue is how many events a client may be behind before it is dropped.
	eventQueue = 64
	// usualHeartbeat keeps proxies from closing a quiet stream.
	usualHeartbeat = 15 * time.Second
)

// Event is something that the clients of an organisation are told.
type Event struct {
	Org  string
	Name string
	// Data is encoded as JSON.
	Data any
	// Key and Last replay the state of things to clients that come later: they get the
	// newest event of each key whose Last was not published. An empty key is not replayed.
	Key  string
	Last bool
}

// hub hands events to the clients of this node.
type hub struct {
	metrics *metrics

	mu      sync.Mutex
	closed  bool
	clients map[string]map[*listener]struct{} // by organisation
	newest  map[string]map[string][]byte      // by organisation and key
}

// listener is one client. Its channel is closed when it is dropped, or the hub closes.
type listener struct {
	org    string
	frames chan []byte
}

func newHub(m *metrics) *hub {
	return &hub{metrics: m, clients: map[string]map[*listener]struct{}{}, newest: map[string]map[string][]byte{}}
}

func (h *hub) publish(e Event) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return // our own types encode
	}
	frame := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", e.Name, data)
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Key != "" {
		h.keep(e, frame)
	}
	for l := range h.clients[e.Org] {
		select {
		case l.frames <- frame:
		default:
			h.metrics.dropped.Inc()
			h.remove(l)
		}
	}
}

func (h *hub) keep(e Event, frame []byte) {
	if e.Last {
		if delete(h.newest[e.Org], e.Key); len(h.newest[e.Org]) == 0 {
			delete(h.newest, e.Org)
		}
		return
	}
	if h.newest[e.Org] == nil {
		h.newest[e.Org] = map[string][]byte{}
	}
	h.newest[e.Org][e.Key] = frame
}

// listen adds a client. It answers nil when the hub is closed.
func (h *hub) listen(org string) *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	l := &listener{org: org, frames: make(chan []byte, eventQueue+len(h.newest[org]))}
	for _, frame := range h.newest[org] {
		l.frames <- frame
	}
	if h.clients[org] == nil {
		h.clients[org] = map[*listener]struct{}{}
	}
	h.clients[org][l] = struct{}{}
	h.metrics.clients.Inc()
	return l
}

func (h *hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(l)
}

// remove takes a client out, once.
func (h *hub) remove(l *listener) {
	if _, ok := h.clients[l.org][l]; !ok {
		return
	}
	delete(h.clients[l.org], l)
	if len(h.clients[l.org]) == 0 {
		delete(h.clients, l.org)
	}
	close(l.frames)
	h.metrics.clients.Dec()
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, clients := range h.clients {
		for l := range clients {
			h.remove(l)
		}
	}
}

// streamEvents sends the organisation's events as server-sent events until the
// client leaves, falls behind, or its token is revoked.
func (s *Server) streamEvents(c *call) error {
	l := s.hub.listen(c.org)
	if l == nil {
		return &Error{Code: CodeIndexUnavailable, Message: "This node is shutting down; connect again"}
	}
	defer s.hub.leave(l)
	c.Header().Set("Content-Type", "text/event-stream")
	c.Header().Set("X-Accel-Buffering", "no") // for nginx
	c.WriteHeader(http.StatusOK)
	control := http.NewResponseController(c.ResponseWriter)
	send := func(frame []byte) error {
		c.hurry()
		if _, err := c.Write(frame); err != nil {
			return err
		}
		return control.Flush()
	}
	if err := send([]byte(": connected\n\n")); err != nil {
		return err
	}
	tick := time.NewTicker(s.heartbeat)
	defer tick.Stop()
	for {
		var frame []byte
		select {
		case next, ok := <-l.frames:
			if !ok {
				return nil
			}
			frame = next
		case <-tick.C:
			if !c.stillKnown() {
				return nil
			}
			frame = []byte(": heartbeat\n\n")
		case <-c.context().Done():
			return nil
		}
		if err := send(frame); err != nil {
			return nil // the client went away
		}
	}
}

// stillKnown tells whether the caller's token was not revoked meanwhile.
func (c *call) stillKnown() bool {
	return c.server.Catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.TokenByHash(c.token.Hash)
		return err
	}) == nil
}
