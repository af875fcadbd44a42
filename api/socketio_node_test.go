package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firescan/api/socketio"
	"firescan/api/socketio/socketiotest"
	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider/mem"
)

// npmClient starts socket.io-client.
func npmClient(t *testing.T) *socketiotest.Client {
	t.Helper()
	if testing.Short() {
		t.Skip("runs node")
	}
	return socketiotest.Start(t)
}

// auth returns the options of a client with a role's token.
func (r *rig) auth(role catalog.Role, org string, transports ...string) map[string]any {
	options := map[string]any{"auth": map[string]string{"token": r.tokens[role], "organizationId": org}}
	if len(transports) > 0 {
		options["transports"] = transports
	}
	return options
}

// otherOrg adds a token of a second organization.
func (r *rig) otherOrg() {
	plain := catalog.NewToken()
	r.propose(&pb.PutToken{Token: &pb.Token{Id: "tok_other", Hash: catalog.HashToken(plain), Org: "org2", Role: string(catalog.RoleViewer)}})
	r.tokens["other"] = plain
}

// configureSockets replaces the Socket.IO server, before its first request.
func (r *rig) configureSockets(c socketio.Config) {
	c.Application, c.Logger = sockets{r.server.backend, r.server.hub}, r.server.backend.log
	c.Open = r.server.backend.openSocket
	r.server.sockets = socketio.New(c)
}

// metric waits for a line of the metrics, which change after the client sees the cause.
func (r *rig) metric(line string) {
	r.t.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(5 * time.Millisecond) {
		if r.hasMetric(line) {
			return
		}
	}
	_, events, _ := strings.Cut(string(r.do(catalog.RoleViewer, "GET", "/metrics", "").raw), "# HELP firescan_event")
	r.t.Fatalf("no %s in the metrics:\n%.800s", line, events)
}

// hasMetric reports whether the metrics contain a line.
func (r *rig) hasMetric(line string) bool {
	r.t.Helper()
	return strings.Contains(string(r.do(catalog.RoleViewer, "GET", "/metrics", "").raw), line+"\n")
}

// wantEvent waits for an event with one argument.
func wantEvent(t *testing.T, c *socketiotest.Client, name, event, data string) {
	t.Helper()
	got := c.Wait(name, "event", "disconnect")
	if got.Event != event || len(got.Args) != 1 || string(got.Args[0]) != data {
		t.Fatalf("%s received %q %s, want %s %s", name, got.Event, got.Args, event, data)
	}
}

func TestSocketIOTransports(t *testing.T) {
	c := npmClient(t)
	for name, transports := range map[string][]string{
		"polling": {"polling"}, "websocket": {"websocket"}, "upgraded": {"polling", "websocket"}, "fallback": {"websocket", "polling"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mem.Options{})
			progress := func(n int, last bool) {
				r.server.Publish(Event{Org: org, Name: "storage:sync-progress", Key: "sync_1", Last: last, Data: map[string]int{"n": n}})
			}
			progress(1, false)
			progress(2, false)
			options := r.auth(catalog.RoleViewer, org, transports...)
			switch name {
			case "polling":
				delete(options, "auth")
				options["extraHeaders"] = map[string]string{"Authorization": "Bearer " + r.tokens[catalog.RoleViewer]}
			case "websocket":
				delete(options, "auth")
				options["query"] = map[string]string{"token": r.tokens[catalog.RoleViewer]}
			}
			c.Connect(name, r.http.URL, options)
			if s := c.Wait(name, "connect", "connect_error"); s.What != "connect" {
				t.Fatalf("%+v", s)
			}
			wantEvent(t, c, name, "storage:sync-progress", `{"n":2}`) // replayed to a new client
			if name == "upgraded" {
				if s := c.Wait(name, "upgrade"); s.Transport != "websocket" {
					t.Fatalf("upgraded to %s", s.Transport)
				}
			}
			const joined = `{"success":true,"data":{"room":"storage:org1"}}`
			for _, args := range [][]any{nil, {map[string]string{"organizationId": org}}, {"storage:" + org}, {org}} {
				if ack := c.Emit(name, "subscribe", args...); string(ack) != joined {
					t.Errorf("subscribe %v: %s", args, ack)
				}
			}
			progress(3, true)
			wantEvent(t, c, name, "storage:sync-progress", `{"n":3}`)
			r.server.Publish(Event{Org: org, Name: "storage:stats-update", Data: map[string]any{"files": "\u001e\"é\u2028"}})
			wantEvent(t, c, name, "storage:stats-update", `{"files":"\u001e\"é`+"\u2028"+`"}`)
			for i := range 300 { // more than one batch, but never more than its queue holds
				r.server.Publish(Event{Org: org, Name: "burst", Data: i})
				if i%50 == 49 {
					for n := i - 49; n <= i; n++ {
						wantEvent(t, c, name, "burst", fmt.Sprint(n))
					}
				}
			}
			r.metric(`firescan_event_clients{protocol="socketio"} 1`)
			c.Close(name)
			r.metric(`firescan_event_clients{protocol="socketio"} 0`)
			r.metric(`firescan_event_clients_dropped_total{protocol="socketio"} 0`)
		})
	}
}

// TestSocketIORoles connects with every role and with bad tokens.
func TestSocketIORoles(t *testing.T) {
	c := npmClient(t)
	r := newRig(t, mem.Options{})
	r.tokens["bad"] = "fsk_unknown"
	r.tokens["none"] = ""
	revoked := catalog.NewToken()
	r.propose(&pb.PutToken{Token: &pb.Token{Id: "tok_revoked", Hash: catalog.HashToken(revoked), Org: org, Role: string(catalog.RoleOwner)}})
	r.propose(&pb.DeleteToken{Id: "tok_revoked"})
	r.tokens["revoked"] = revoked
	r.tokens["expired"] = r.addExpired()
	type try struct {
		role catalog.Role
		org  string
		code Code // empty: allowed
	}
	tries := []try{
		{"bad", org, CodeUnauthorized},
		{"none", org, CodeUnauthorized},
		{"revoked", org, CodeUnauthorized},
		{"expired", org, CodeUnauthorized},
		{catalog.RoleOwner, "org2", CodeDenied},
		{catalog.RoleOwner, "", ""}, // that of the token
		{catalog.RoleService, org, CodeDenied},
		{catalog.RoleRoot, org, CodeDenied},
		{catalog.RoleRoot, "", CodeDenied},
	}
	for _, role := range readers {
		tries = append(tries, try{role, org, ""})
	}
	for i, try := range tries {
		for _, transport := range []string{"polling", "websocket"} {
			name := fmt.Sprint(i, transport)
			c.Connect(name, r.http.URL, r.auth(try.role, try.org, transport))
			s := c.Wait(name, "connect", "connect_error")
			if try.code == "" {
				if s.What != "connect" {
					t.Errorf("%+v: %s %s", try, s.Message, s.Data)
				}
				continue
			}
			var data struct{ Code Code }
			if err := json.Unmarshal(s.Data, &data); err != nil || data.Code != try.code || len(s.Message) < 10 {
				t.Errorf("%+v over %s: %s %q %s", try, transport, s.What, s.Message, s.Data)
			}
		}
	}
	for name, options := range map[string]map[string]any{
		"no auth": nil, "numbers": {"auth": map[string]any{"token": 1}}, "a namespace": r.auth(catalog.RoleOwner, org),
	} {
		url := r.http.URL
		if name == "a namespace" {
			url += "/storage"
		}
		c.Connect(name, url, options)
		if s := c.Wait(name, "connect", "connect_error"); s.What != "connect_error" || s.Message == "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if strings.Contains(r.log.String(), r.tokens[catalog.RoleOwner]) || strings.Contains(r.log.String(), "fsk_unknown") {
		t.Error("a token is in the log")
	}
}

// TestSocketIOTenants has clients of two organizations on one node.
func TestSocketIOTenants(t *testing.T) {
	c := npmClient(t)
	r := newRig(t, mem.Options{})
	r.otherOrg()
	r.server.Publish(Event{Org: org, Name: "storage:sync-progress", Key: "sync_1", Data: "ours"})
	c.Connect("ours", r.http.URL, r.auth(catalog.RoleMember, org))
	wantEvent(t, c, "ours", "storage:sync-progress", `"ours"`)
	c.Connect("theirs", r.http.URL, r.auth("other", "org2"))
	c.Wait("theirs", "connect")
	for _, arg := range []any{org, "storage:" + org, map[string]string{"organizationId": org}} {
		var ack struct {
			Success bool
			Error   struct{ Code Code }
		}
		if raw := c.Emit("theirs", "subscribe", arg); json.Unmarshal(raw, &ack) != nil || ack.Success || ack.Error.Code != CodeDenied {
			t.Errorf("subscribe to another organization: %s", raw)
		}
	}
	for _, event := range []string{"join", "storage:sync-progress"} {
		if raw := c.Emit("theirs", event, "storage:"+org); !strings.Contains(string(raw), string(CodeNotFound)) {
			t.Errorf("%s: %s", event, raw)
		}
	}
	if raw := c.Emit("theirs", "subscribe", 7); !strings.Contains(string(raw), string(CodeValidation)) {
		t.Errorf("subscribe 7: %s", raw)
	}
	r.server.Publish(Event{Org: org, Name: "storage:stats-update", Data: "ours"})
	r.server.Publish(Event{Org: "org2", Name: "storage:stats-update", Data: "theirs"})
	wantEvent(t, c, "theirs", "storage:stats-update", `"theirs"`) // and no event before
	wantEvent(t, c, "ours", "storage:stats-update", `"ours"`)
}

func TestSocketIORevokedTokens(t *testing.T) {
	c := npmClient(t)
	for _, transport := range []string{"polling", "websocket"} {
		t.Run(transport, func(t *testing.T) {
			r := newRig(t, mem.Options{})
			r.configureSockets(socketio.Config{PingInterval: 20 * time.Millisecond})
			c.Connect(transport, r.http.URL, r.auth(catalog.RoleViewer, org, transport))
			c.Wait(transport, "connect")
			r.propose(&pb.DeleteToken{Id: "tok_viewer"})
			if s := c.Wait(transport, "disconnect"); s.Message != "io server disconnect" {
				t.Errorf("disconnect after the token was revoked: %q", s.Message)
			}
			r.tokens[catalog.RoleViewer] = r.tokens[catalog.RoleMember]
			r.metric(`firescan_event_clients{protocol="socketio"} 0`)
		})
	}
}

// TestSocketIOSlowClients has a client that stops reading, beside one that reads.
func TestSocketIOSlowClients(t *testing.T) {
	c := npmClient(t)
	r := newRig(t, mem.Options{})
	c.Connect("slow", r.http.URL, r.auth(catalog.RoleViewer, org, "websocket"))
	c.Wait("slow", "connect")
	c.Connect("good", r.http.URL, r.auth(catalog.RoleViewer, org, "websocket"))
	c.Wait("good", "connect")
	c.Pause("slow")
	large := strings.Repeat("x", 256<<10)
	// Until the queue and the buffers of the connection are full, however large these are.
	for i := 0; !r.hasMetric(`firescan_event_clients_dropped_total{protocol="socketio"} 1`); i++ {
		if i == 100*eventQueue {
			t.Fatalf("the slow client is still connected after %d events", i)
		}
		r.server.Publish(Event{Org: org, Name: "large", Data: large})
		if c.Wait("good", "event", "disconnect").What != "event" {
			t.Fatalf("the client that reads was dropped after %d events", i)
		}
	}
	r.metric(`firescan_event_clients{protocol="socketio"} 1`)
	c.Resume("slow")
	if s := c.Wait("slow", "disconnect"); s.Message == "io server disconnect" {
		t.Errorf("a slow client received %q and would not reconnect", s.Message)
	}
}

// TestSocketIOClientsReconnect closes a node; its clients reconnect to another node.
func TestSocketIOClientsReconnect(t *testing.T) {
	c := npmClient(t)
	for _, transport := range []string{"polling", "websocket"} {
		first, second := newRig(t, mem.Options{}), newRig(t, mem.Options{})
		second.propose(&pb.PutToken{Token: &pb.Token{Id: "tok_again", Hash: catalog.HashToken(first.tokens[catalog.RoleViewer]), Org: org, Role: string(catalog.RoleViewer)}})
		var to atomic.Pointer[Server]
		to.Store(first.server)
		balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { to.Load().ServeHTTP(w, r) }))
		options := first.auth(catalog.RoleViewer, org, transport)
		options["reconnection"], options["reconnectionDelay"] = true, 10
		c.Connect(transport, balancer.URL, options)
		c.Wait(transport, "connect")
		to.Store(second.server)
		first.server.Close()
		if s := c.Wait(transport, "disconnect"); s.Message == "io server disconnect" {
			t.Errorf("over %s: %q, after which a client does not reconnect", transport, s.Message)
		}
		c.Wait(transport, "connect")
		second.metric(`firescan_event_clients{protocol="socketio"} 1`)
		c.Close(transport)
		second.metric(`firescan_event_clients{protocol="socketio"} 0`)
		balancer.Close()
	}
}
