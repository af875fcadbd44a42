package api

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider/mem"
)

// listenTo opens the event stream and returns its lines that are not empty.
func (r *rig) listenTo(role catalog.Role) (lines <-chan string, stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.http.URL+"/api/v1/storage/events", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens[role])
	req.Header.Set("X-Organization-Id", org)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("events: %d %v", res.StatusCode, res.Header)
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		defer res.Body.Close()
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if s.Text() != "" {
				out <- s.Text()
			}
		}
	}()
	return out, cancel
}

// listenTo adds a client of the organization.
func listenTo(t *testing.T, h *hub) *listener {
	t.Helper()
	l, err := h.listen(org, "tok_1", asSSE)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func expect(t *testing.T, lines <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-lines:
			if got != w {
				t.Fatalf("line %q, want %q", got, w)
			}
		case <-time.After(time.Minute):
			t.Fatalf("no line, want %q", w)
		}
	}
}

func TestEvents(t *testing.T) {
	r := newRig(t, mem.Options{})
	progress := func(n int, last bool) Event {
		return Event{Org: org, Name: "storage:sync-progress", Key: "sync_1", Last: last, Data: map[string]int{"n": n}}
	}
	r.server.Publish(progress(1, false))
	r.server.Publish(progress(2, false))
	r.server.Publish(Event{Org: "org2", Name: "storage:sync-progress", Data: 7})
	lines, stop := r.listenTo(catalog.RoleViewer)
	defer stop()
	expect(t, lines, ": connected", "event: storage:sync-progress", `data: {"n":2}`)
	r.server.Publish(Event{Org: "org2", Name: "storage:stats-update", Data: "of others"})
	r.server.Publish(progress(3, true))
	expect(t, lines, "event: storage:sync-progress", `data: {"n":3}`)
	late, stopLate := r.listenTo(catalog.RoleMember)
	defer stopLate()
	expect(t, late, ": connected")
	r.server.Publish(Event{Org: org, Name: "storage:stats-update", Data: 1})
	expect(t, late, "event: storage:stats-update", "data: 1")
	r.server.Close()
	for range late { // ends
	}
}

func TestSlowListenersAreDropped(t *testing.T) {
	r := newRig(t, mem.Options{})
	l := listenTo(t, r.server.hub)
	for range eventQueue + 1 {
		r.server.Publish(Event{Org: org, Name: "e", Data: 1})
	}
	n := 0
	for range l.frames {
		n++
	}
	if n != eventQueue {
		t.Errorf("a slow listener got %d events before it was dropped, want %d", n, eventQueue)
	}
	r.server.hub.leave(l, true) // harmless
	if m := r.do(catalog.RoleViewer, "GET", "/metrics", ""); !strings.Contains(string(m.raw), `firescan_event_clients_dropped_total{protocol="sse"} 1`) {
		t.Error("the dropped listener is not counted")
	}
}

func TestRevokedTokensHearNoMore(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.server.events.heartbeat = time.Millisecond
	lines, stop := r.listenTo(catalog.RoleViewer)
	defer stop()
	expect(t, lines, ": connected", ": heartbeat", ": heartbeat")
	r.propose(&pb.DeleteToken{Id: "tok_viewer"})
	for range lines { // ends
	}
	r.addExpired()
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		expired, err := tx.Token("tok_expired")
		if err == nil && r.server.backend.valid(expired) {
			t.Error("a token is good when its time is over")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestListenersThatLeaveAreForgotten: a client closes its connection.
func TestListenersThatLeaveAreForgotten(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.server.events.heartbeat = time.Millisecond
	lines, stop := r.listenTo(catalog.RoleViewer)
	expect(t, lines, ": connected")
	stop()
	h := r.server.hub
	for begun := time.Now(); ; {
		h.mu.Lock()
		n := len(h.clients)
		h.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatal("a client that left is still kept")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestHubForgetsEndedSyncs publishes syncs to their end.
func TestHubForgetsEndedSyncs(t *testing.T) {
	r := newRig(t, mem.Options{})
	for _, sync := range []string{"a", "b"} {
		r.server.Publish(Event{Org: org, Name: "storage:sync-progress", Key: sync, Data: 1})
		r.server.Publish(Event{Org: org, Name: "storage:sync-progress", Key: sync, Data: 2, Last: true})
	}
	if n := len(r.server.hub.newest); n != 0 {
		t.Errorf("the hub keeps events of %d organizations", n)
	}
	r.server.Close()
	r.do(catalog.RoleViewer, "GET", "/api/v1/storage/events", "").refused(http.StatusServiceUnavailable, CodeIndexUnavailable)
}

func TestSyncs(t *testing.T) {
	r := newRig(t, mem.Options{})
	a := r.owner("POST", "/api/v1/storage/sync", "")
	if a.at("data", "status") != "idle" {
		t.Errorf("sync of nothing: %s", a.raw)
	}
	id := r.destination()
	r.do(catalog.RoleMember, "POST", "/api/v1/storage/sync?destinationId=storage_none", "").refused(404, CodeStorageNotFound)
	first := r.owner("POST", "/api/v1/storage/sync", "").at("data", "syncIds", 0)
	if again := r.owner("POST", "/api/v1/storage/sync?destinationId="+id, "").at("data", "syncIds", 0); again != first {
		t.Errorf("a second sync %v beside the running %v", again, first)
	}
	path := "/api/v1/storage/syncs/" + first.(string)
	if s := r.owner("GET", path, ""); s.at("data", "status") != "running" || s.at("data", "finishedAt") != nil || s.at("data", "error") != nil {
		t.Errorf("running sync: %s", s.raw)
	}
	if s := r.owner("DELETE", path, ""); s.at("data", "status") != "cancelled" {
		t.Errorf("cancelled sync: %s", s.raw)
	}
	if s := r.owner("DELETE", path, ""); s.at("message") != "The sync had already ended" && s.at("data", "status") != "cancelled" {
		t.Errorf("cancelled again: %s", s.raw)
	}
	for range 4 {
		r.now = r.now.Add(time.Second)
		sync := r.owner("POST", "/api/v1/storage/sync", "").at("data", "syncIds", 0).(string)
		r.owner("DELETE", "/api/v1/storage/syncs/"+sync, "")
	}
	page := r.owner("GET", "/api/v1/storage/syncs?limit=3&destinationId="+id, "")
	rest := r.owner("GET", "/api/v1/storage/syncs?limit=3&destinationId="+id+"&cursor="+page.at("meta", "nextCursor").(string), "")
	if len(page.at("data", "syncs").([]any)) != 3 || len(rest.at("data", "syncs").([]any)) != 2 || rest.at("data", "syncs", 1, "id") != first {
		t.Errorf("history: %s then %s", page.raw, rest.raw)
	}
	r.do(catalog.RoleViewer, "GET", "/api/v1/storage/syncs/sync_none", "").refused(404, CodeNotFound)
}
