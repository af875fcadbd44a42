package api

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"firescan/catalog"
)

const (
	// eventLogSize and eventLogBytes bound the events that are kept for other nodes.
	eventLogSize  = 1024
	eventLogBytes = 8 << 20
	// maxEventBytes is the size of the largest event that is sent to other nodes.
	maxEventBytes = 2 << 20
	// maxEventLogs bounds the logs of other nodes that are remembered: each start of a node
	// that leads has its own.
	maxEventLogs = 100
)

// eventPosition identifies an event in the cluster: the log of the node that emitted it, and
// its number there. The zero position comes before all events.
type eventPosition struct {
	Log string `json:"log"`
	Seq uint64 `json:"seq"`
}

// loggedEvent is an event as one node sends it to another.
type loggedEvent struct {
	eventPosition
	Org  string          `json:"org"`
	Name string          `json:"name"`
	Key  string          `json:"key,omitempty"`
	Last bool            `json:"last,omitempty"`
	Data json.RawMessage `json:"data"`

	at    time.Time
	order uint64 // in the log that keeps it
}

// eventLog keeps the most recent events for the nodes that follow this one. Of events with
// the same key it keeps only the newest. It is safe for concurrent use.
type eventLog struct {
	id      string // new at each start
	changed catalog.Signal

	mu     sync.Mutex
	closed bool
	seen   map[string]uint64 // the last number by log
	order  uint64
	events []loggedEvent // by order
	bytes  int
}

func newEventLog() *eventLog { return &eventLog{id: rand.Text(), seen: map[string]uint64{}} }

// append adds an event. Without a position it is an event of this node. It returns false
// for an event that this node has already, or whose successor it has.
func (l *eventLog) append(e loggedEvent) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.eventPosition == (eventPosition{}) {
		e.eventPosition = eventPosition{l.id, l.seen[l.id] + 1}
	}
	if e.Seq <= l.seen[e.Log] {
		return false
	}
	if len(l.seen) >= maxEventLogs {
		maps.DeleteFunc(l.seen, func(log string, _ uint64) bool { return log != l.id && log != e.Log })
	}
	l.seen[e.Log] = e.Seq
	if e.Key != "" {
		if older := slices.IndexFunc(l.events, func(o loggedEvent) bool { return o.Org == e.Org && o.Key == e.Key }); older >= 0 {
			l.remove(older)
		}
	}
	if len(e.Data) > maxEventBytes {
		return true
	}
	l.order++
	e.order, e.at = l.order, time.Now()
	l.events = append(l.events, e)
	l.bytes += len(e.Data)
	for len(l.events) > eventLogSize || l.bytes > eventLogBytes {
		l.remove(0)
	}
	l.changed.Broadcast()
	return true
}

func (l *eventLog) remove(i int) {
	l.bytes -= len(l.events[i].Data)
	l.events = slices.Delete(l.events, i, i+1)
}

// known returns the number of the last event of each log that this node has.
func (l *eventLog) known() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.seen)
}

// missing returns the events that a node with the known ones needs, and the order after
// which it goes on. Of logs that the node has no record of, recent events are enough.
func (l *eventLog) missing(known map[string]uint64) (events []loggedEvent, order uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if seq, ok := known[e.Log]; e.Seq > seq && (ok || time.Since(e.at) < replayFor) {
			events = append(events, e)
		}
	}
	return events, l.order
}

// after returns the events after an order, a channel that is closed when there are more,
// and false when the log is closed.
func (l *eventLog) after(order uint64) (events []loggedEvent, changed <-chan struct{}, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed = l.changed.Wait()
	from := sort.Search(len(l.events), func(i int) bool { return l.events[i].order > order })
	return slices.Clone(l.events[from:]), changed, !l.closed
}

func (l *eventLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Broadcast()
}

// replayFor is how long the newest event of a key is replayed to new clients: its
// publisher may have died before the last one.
const replayFor = 10 * time.Second
