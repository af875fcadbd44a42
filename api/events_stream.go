package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// EventsPath is the path of an EventStream on the cluster port.
	EventsPath = "/events"
	// leaderInterval is how often a node checks who leads.
	leaderInterval = 250 * time.Millisecond
	// lateEvents is how long a leader still sends events after it stepped down: a sync that
	// was completed at that time is reported by no other node.
	lateEvents = time.Second
	// minReconnect and maxReconnect bound the backoff between two connections to the leader.
	minReconnect = 50 * time.Millisecond
	maxReconnect = 2 * time.Second
	// followerTimeout bounds how long the leader waits for a follower that does not read.
	followerTimeout = 10 * time.Second
)

var errEventsEnded = errors.New("the leader ended the stream")

// Leadership reports which node leads and sends requests to it; *cluster.Cluster does.
type Leadership interface {
	Leader() (id string, ok bool)
	// HTTPClient returns the client for "https://<node id>/…".
	HTTPClient() *http.Client
}

// An EventStream brings the events that the leader emits to the clients of all nodes: the
// leader serves them as lines of JSON, and each follower reads them into its own hub.
type EventStream struct {
	self       string // id of this node
	leadership Leadership
	hub        *hub
	log        *slog.Logger
}

// EventStream returns the stream of a node.
func (s *Server) EventStream(self string, l Leadership) *EventStream {
	return &EventStream{self, l, s.hub, s.backend.log}
}

// leads reports whether this node leads.
func (s *EventStream) leads() bool {
	leader, ok := s.leadership.Leader()
	return ok && leader == s.self
}

// ServeHTTP sends the events that another node does not have yet, and all later ones, for as
// long as this node leads. A follower that is too slow skips to the events that are still
// kept. The query has the number of the last event of each log that the follower has.
func (s *EventStream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	known := map[string]uint64{}
	for log, values := range r.URL.Query() {
		seq, err := strconv.ParseUint(values[0], 10, 64)
		if err != nil {
			http.Error(w, "the number of an event is not a number", http.StatusBadRequest)
			return
		}
		known[log] = seq
	}
	if !s.leads() {
		http.Error(w, "this node does not lead", http.StatusMisdirectedRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	control, lines := http.NewResponseController(w), json.NewEncoder(w)
	send := func(events []loggedEvent) error {
		for _, e := range events {
			_ = control.SetWriteDeadline(time.Now().Add(followerTimeout))
			if err := lines.Encode(e); err != nil {
				return err
			}
		}
		return control.Flush()
	}
	events, order := s.hub.log.missing(known)
	if send(events) != nil {
		return // the follower has gone
	}
	tick := time.NewTicker(leaderInterval)
	defer tick.Stop()
	for last := time.Now(); time.Since(last) < lateEvents; {
		if s.leads() {
			last = time.Now()
		}
		events, changed, open := s.hub.log.after(order)
		if send(events) != nil || !open {
			return
		}
		if len(events) > 0 {
			order = events[len(events)-1].order
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// Run publishes the events of the leader, while that is another node, to the clients of
// this one, until ctx ends.
func (s *EventStream) Run(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = minReconnect, maxReconnect
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		leader, err := s.awaitLeader(ctx)
		if err == nil {
			err = s.follow(ctx, leader, wait.Reset)
		}
		return struct{}{}, err // never nil
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, _ time.Duration) {
		s.log.Debug("the stream of events from the leader ended; it is opened again", "error", err)
	}))
	return err
}

// awaitLeader waits until another node leads.
func (s *EventStream) awaitLeader(ctx context.Context) (id string, err error) {
	tick := time.NewTicker(leaderInterval)
	defer tick.Stop()
	for {
		if id, ok := s.leadership.Leader(); ok && id != s.self {
			return id, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// follow reads the events of the leader that this node does not have. It calls connected when
// the leader responds.
func (s *EventStream) follow(ctx context.Context, leader string, connected func()) error {
	ctx, cancel := context.WithCancel(ctx) // ends the request
	defer cancel()
	query := url.Values{}
	for log, seq := range s.hub.log.known() {
		query.Set(log, strconv.FormatUint(seq, 10))
	}
	address := url.URL{Scheme: "https", Host: leader, Path: EventsPath, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return err
	}
	resp, err := s.leadership.HTTPClient().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("follow the events of node %s: it responded %s", leader, resp.Status)
	}
	connected()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 2*maxEventBytes)
	for lines.Scan() {
		var e loggedEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("follow the events of node %s: %w", leader, err)
		}
		s.hub.receive(e)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("follow the events of node %s: %w", leader, err)
	}
	return errEventsEnded
}
