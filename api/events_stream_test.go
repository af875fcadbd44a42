package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// eventGroup is nodes that stream events to each other. One of them leads.
type eventGroup struct {
	leader  atomic.Pointer[string]
	nodes   map[string]*EventStream
	servers map[string]*httptest.Server
	opened  atomic.Int64 // streams
}

var _ Leadership = (*eventGroup)(nil)

func (g *eventGroup) Leader() (string, bool) {
	id := g.leader.Load()
	return *id, *id != ""
}

func (g *eventGroup) HTTPClient() *http.Client { return &http.Client{Transport: g} }

// RoundTrip sends a request to the node that its URL names.
func (g *eventGroup) RoundTrip(r *http.Request) (*http.Response, error) {
	g.opened.Add(1)
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", g.servers[r.URL.Host].Listener.Addr().String()
	return http.DefaultTransport.RoundTrip(r)
}

func (g *eventGroup) lead(id string) { g.leader.Store(&id) }

func newEventGroup(t *testing.T, ids ...string) *eventGroup {
	t.Helper()
	g := &eventGroup{nodes: map[string]*EventStream{}, servers: map[string]*httptest.Server{}}
	g.lead("")
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := errors.New("the test ended")
	var work sync.WaitGroup
	for _, id := range ids {
		m, err := newMetrics(prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		limits, err := newLimits(Limits{}, m, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		g.nodes[id] = &EventStream{id, g, newHub(m, limits), slog.New(slog.DiscardHandler)}
		g.servers[id] = httptest.NewServer(g.nodes[id])
	}
	for _, s := range g.nodes {
		work.Go(func() {
			if err := s.Run(ctx); !errors.Is(err, ended) {
				t.Errorf("the stream of node %s ended with %v", s.self, err)
			}
		})
	}
	t.Cleanup(func() {
		cancel(ended)
		for id, s := range g.nodes {
			s.hub.close()
			g.servers[id].Close()
		}
		work.Wait()
	})
	return g
}

func (g *eventGroup) publish(node, key string, data any) {
	g.nodes[node].hub.publish(Event{Org: org, Name: "e", Key: key, Data: data})
}

// seen waits for the next events of a client.
func seen(t *testing.T, l *listener, want ...any) {
	t.Helper()
	for _, w := range want {
		select {
		case f := <-l.frames:
			if got := strings.TrimSpace(string(f)); !strings.HasSuffix(got, fmt.Sprintf("data: %v", w)) {
				t.Fatalf("the client got %q, want %v", got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the client did not get %v", w)
		}
	}
}

// Clients of all nodes get each event of the leader once, through changes of leader and cuts.
func TestEventsOfTheLeaderReachAllNodes(t *testing.T) {
	g := newEventGroup(t, "a", "b", "c")
	clients := map[string]*listener{}
	for id, s := range g.nodes {
		clients[id] = listenTo(t, s.hub)
	}
	everywhere := func(want ...any) {
		t.Helper()
		for _, l := range clients {
			seen(t, l, want...)
		}
	}
	g.publish("a", "", 0)
	seen(t, clients["a"], 0)
	g.lead("a") // the others get what is recent
	seen(t, clients["b"], 0)
	seen(t, clients["c"], 0)
	g.publish("a", "sync_1", 1)
	everywhere(1)
	g.publish("a", "", 2)
	everywhere(2)

	g.lead("b")
	g.publish("a", "sync_1", 4) // late
	g.publish("b", "sync_2", 3)
	for _, l := range clients {
		got := map[string]bool{}
		for range 2 { // in any order
			select {
			case f := <-l.frames:
				_, data, _ := strings.Cut(strings.TrimSpace(string(f)), "data: ")
				got[data] = true
			case <-time.After(20 * time.Second):
			}
		}
		if !got["4"] || !got["3"] {
			t.Fatalf("the clients got %v", got)
		}
	}
	for i := range 3 {
		g.servers["b"].CloseClientConnections()
		g.publish("b", "", 10+i)
		everywhere(10 + i)
	}
	for id, l := range clients {
		if n := len(l.frames); n != 0 {
			t.Errorf("the client of %s got %d events more", id, n)
		}
	}
}

// A node that closes ends its streams. What it published before still arrives.
func TestClosedHubEndsStreams(t *testing.T) {
	g := newEventGroup(t, "a", "b")
	g.lead("a")
	l := listenTo(t, g.nodes["b"].hub)
	g.publish("a", "", 1)
	seen(t, l, 1)
	g.publish("a", "", 2)
	g.nodes["a"].hub.close()
	seen(t, l, 2)
	before := g.opened.Load()
	for g.opened.Load() < before+2 { // it tries again
		time.Sleep(time.Millisecond)
	}
}

func TestFollowersServeNoEvents(t *testing.T) {
	g := newEventGroup(t, "a", "b")
	g.lead("a")
	for path, want := range map[string]int{
		"/events?log=0": http.StatusMisdirectedRequest, "/events?log=x": http.StatusBadRequest,
	} {
		resp, err := http.Get(g.servers["b"].URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
