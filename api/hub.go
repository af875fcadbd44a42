package api

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"firescan/api/socketio"
)

const (
	// eventQueue is the number of events that a client may be behind before it is
	// dropped.
	eventQueue = 64
)

// Event is a message to the clients of an organization.
type Event struct {
	Org  string
	Name string
	// Data is encoded as JSON.
	Data any
	// Key and Last replay the current state to new clients: they get the newest event
	// of each key until its Last event. An empty key is not replayed.
	Key  string
	Last bool
}

// form is the encoding of an event for a client.
type form uint8

const (
	asSSE form = iota
	asSocketIO
	forms
)

// String returns the form's name in metrics.
func (f form) String() string { return [forms]string{"sse", "socketio"}[f] }

// frame is an event in each form, encoded once for all clients.
type frame [forms][]byte

// hub sends events to the clients of this node.
type hub struct {
	metrics *metrics
	limits  *limits
	log     *eventLog

	mu      sync.Mutex
	closed  bool
	clients map[string]map[*listener]struct{} // by organization
	newest  map[string]map[string]kept        // by organization and key
	byToken map[string]int                    // number of clients by id of the token
	total   int                               // of clients
}

// kept is an event for new clients.
type kept struct {
	frame frame
	at    time.Time
}

// listener is one client. Its channel is closed when the client is dropped or the hub
// closes.
type listener struct {
	org    string
	token  string // its id
	form   form
	frames chan []byte
}

func newHub(m *metrics, limits *limits) *hub {
	for f := range forms { // so that the series exist with value 0
		m.clients.WithLabelValues(f.String())
		m.dropped.WithLabelValues(f.String())
	}
	return &hub{
		metrics: m, limits: limits, log: newEventLog(),
		clients: map[string]map[*listener]struct{}{}, newest: map[string]map[string]kept{}, byToken: map[string]int{},
	}
}

// publish sends an event of this node to its clients, and to the nodes that follow it.
func (h *hub) publish(e Event) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return // our own types can be encoded
	}
	h.receive(loggedEvent{Org: e.Org, Name: e.Name, Key: e.Key, Last: e.Last, Data: data})
}

// receive is publish for an event that may come from another node.
func (h *hub) receive(e loggedEvent) {
	f := frame{
		asSSE:      fmt.Appendf(nil, "event: %s\ndata: %s\n\n", e.Name, e.Data),
		asSocketIO: socketio.Event(e.Name, e.Data),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.log.append(e) {
		return
	}
	if e.Key != "" {
		h.keep(e, f)
	}
	for l := range h.clients[e.Org] {
		select {
		case l.frames <- f[l.form]:
		default:
			h.drop(l)
		}
	}
}

func (h *hub) keep(e loggedEvent, f frame) {
	if e.Last {
		if delete(h.newest[e.Org], e.Key); len(h.newest[e.Org]) == 0 {
			delete(h.newest, e.Org)
		}
		return
	}
	if h.newest[e.Org] == nil {
		h.newest[e.Org] = map[string]kept{}
	}
	h.newest[e.Org][e.Key] = kept{f, time.Now()}
}

// listen adds a client with the token of an organization, unless there are too many.
func (h *hub) listen(org, token string, as form) (*listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, shuttingDown()
	}
	if err := h.limits.stream(h.byToken[token], len(h.clients[org]), h.total); err != nil {
		return nil, err
	}
	l := &listener{org: org, token: token, form: as, frames: make(chan []byte, eventQueue+len(h.newest[org]))}
	for key, k := range h.newest[org] {
		if time.Since(k.at) > replayFor {
			delete(h.newest[org], key)
			continue
		}
		l.frames <- k.frame[as]
	}
	if h.clients[org] == nil {
		h.clients[org] = map[*listener]struct{}{}
	}
	h.clients[org][l] = struct{}{}
	h.byToken[token]++
	h.total++
	h.metrics.clients.WithLabelValues(as.String()).Inc()
	return l, nil
}

// leave removes a client that went away or, if slow, was too slow.
func (h *hub) leave(l *listener, slow bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slow {
		h.drop(l)
	} else {
		h.remove(l)
	}
}

// drop removes a slow client and counts it.
func (h *hub) drop(l *listener) {
	if h.remove(l) {
		h.metrics.dropped.WithLabelValues(l.form.String()).Inc()
	}
}

// remove removes a client, once.
func (h *hub) remove(l *listener) bool {
	if _, ok := h.clients[l.org][l]; !ok {
		return false
	}
	delete(h.clients[l.org], l)
	if len(h.clients[l.org]) == 0 {
		delete(h.clients, l.org)
	}
	h.total--
	if h.byToken[l.token]--; h.byToken[l.token] == 0 {
		delete(h.byToken, l.token)
	}
	close(l.frames)
	h.metrics.clients.WithLabelValues(l.form.String()).Dec()
	return true
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.log.close()
	for _, clients := range h.clients {
		for l := range clients {
			h.remove(l)
		}
	}
}
