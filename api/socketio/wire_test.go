package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long limits how long a test waits for something that must happen.
const long = 30 * time.Second

// rig is a server with an application whose clients the test controls.
type rig struct {
	t       *testing.T
	server  *Server
	http    *httptest.Server
	clients chan *fake // that connected
}

// fake is the application's side of a client.
type fake struct {
	auth    string
	events  chan []byte
	revoked atomic.Bool
	closed  chan bool // the argument of Close
}

func (f *fake) Events() <-chan []byte { return f.events }
func (f *fake) Authorized() bool      { return !f.revoked.Load() }
func (f *fake) Close(slow bool)       { f.closed <- slow }

func (f *fake) Handle(event string, args []json.RawMessage) any {
	switch event {
	case "panic":
		panic("requested by the test")
	case "channel":
		return make(chan int) // not valid in JSON
	}
	return map[string]any{"event": event, "args": args}
}

// Connect implements Application.
func (r *rig) Connect(opened Opening, auth json.RawMessage) (Client, error) {
	switch string(auth) {
	case `{"who":"denied"}`:
		return nil, &Refusal{"You may not", map[string]int{"code": 7}}
	case `{"who":"broken"}`:
		return nil, errors.New("internal")
	}
	f := &fake{auth: opened.Token + string(auth), events: make(chan []byte, 64), closed: make(chan bool, 1)}
	r.clients <- f
	return f, nil
}

// remoteAddress keeps the address of a request without its port, and a token of its query.
func remoteAddress(r *http.Request) Opening {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return Opening{Address: host, Token: r.URL.Query().Get("token")}
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()
	r := &rig{t: t, clients: make(chan *fake, 4096)}
	c.Application, c.Open = r, remoteAddress
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r.server = New(c)
	r.http = httptest.NewServer(r.server)
	t.Cleanup(func() {
		r.server.Close()
		r.http.Close()
		// A session that a timer ended at the same time may not have been removed yet.
		eventually(t, "all sessions are removed", func() bool { return r.sessions() == 0 && r.unauthenticated() == 0 })
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

func (r *rig) sessions() int {
	r.server.registry.mu.Lock()
	defer r.server.registry.mu.Unlock()
	return len(r.server.registry.sessions)
}

func (r *rig) unauthenticated() int {
	r.server.registry.mu.Lock()
	defer r.server.registry.mu.Unlock()
	return r.server.registry.waiting.all.Len()
}

// waitForPoll waits until a poll of the session is in progress.
func (r *rig) waitForPoll(sid string) {
	r.t.Helper()
	one := r.server.registry.get(sid)
	eventually(r.t, "the session polls", func() bool { return len(one.sending) == 1 })
}

// client waits for the next client that connects.
func (r *rig) client() *fake {
	r.t.Helper()
	return within(r.t, r.clients, "a client")
}

// ends waits for the end of a client and reports whether it was too slow.
func (f *fake) ends(t *testing.T) bool {
	t.Helper()
	return within(t, f.closed, "the end of a client")
}

func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(long):
		t.Fatalf("timeout waiting for %s", what)
		panic("unreachable")
	}
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begun := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > long {
			t.Fatalf("timeout waiting until %s", what)
		}
	}
}

const query = "/socket.io/?EIO=4&transport="

// do makes a request.
func (r *rig) do(method, query, body string, header ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.http.URL+query, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// wire is the client's side of a session.
type wire interface {
	// send sends one packet.
	send(packet string)
	// receive returns the next packet, or "end".
	receive() string
	leave()
}

// dialers open sessions over each transport.
var dialers = map[string]func(*rig) wire{
	"polling":   func(r *rig) wire { return r.poll() },
	"websocket": func(r *rig) wire { return r.dial("") },
}

// poller is a client that polls.
type poller struct {
	r   *rig
	sid string
	had []string
}

// sidOf returns the id in the packet that opens a session.
func sidOf(t *testing.T, open string) string {
	t.Helper()
	var hello struct{ SID string }
	if !strings.HasPrefix(open, "0") || json.Unmarshal([]byte(open[1:]), &hello) != nil || len(hello.SID) < 20 {
		t.Fatalf("the session opened with %q", open)
	}
	return hello.SID
}

func (r *rig) poll() *poller {
	r.t.Helper()
	status, body := r.do("GET", query+"polling", "")
	if status != http.StatusOK {
		r.t.Fatalf("open a session over polling: %d %s", status, body)
	}
	return &poller{r: r, sid: sidOf(r.t, body)}
}

// pollUntilOpen is poll for a server whose write timeout is so short that a busy machine
// closes some connections before the response is written.
func (r *rig) pollUntilOpen() *poller {
	r.t.Helper()
	for {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.http.URL+query+"polling", nil)
		if err != nil {
			r.t.Error(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil && res.StatusCode == http.StatusOK {
			return &poller{r: r, sid: sidOf(r.t, string(body))}
		}
	}
}

func (p *poller) send(packet string) { p.r.do("POST", query+"polling&sid="+p.sid, packet) }

func (p *poller) receive() string {
	for len(p.had) == 0 {
		status, body := p.r.do("GET", query+"polling&sid="+p.sid, "")
		if status != http.StatusOK {
			return "end"
		}
		p.had = strings.Split(body, "\x1e")
	}
	next := p.had[0]
	p.had = p.had[1:]
	if next == "1" {
		return "end"
	}
	return next
}

func (p *poller) leave() { p.send("1") }

// socket is a client with a websocket.
type socket struct {
	t    *testing.T
	conn *websocket.Conn
}

// dial opens a websocket. Without the id of a session it opens a new one.
func (r *rig) dial(sid string) *socket {
	r.t.Helper()
	url := strings.Replace(r.http.URL, "http", "ws", 1) + query + "websocket"
	if sid != "" {
		url += "&sid=" + sid
	}
	conn, res, err := websocket.DefaultDialer.DialContext(r.t.Context(), url, nil)
	if err != nil {
		r.t.Fatalf("open a websocket: %v, %+v", err, res)
	}
	s := &socket{r.t, conn}
	r.t.Cleanup(s.leave)
	if sid == "" {
		sidOf(r.t, s.receive())
	}
	return s
}

func (s *socket) send(packet string) {
	_ = s.conn.WriteMessage(websocket.TextMessage, []byte(packet)) // receive reports a failure
}

func (s *socket) receive() string {
	_ = s.conn.SetReadDeadline(time.Now().Add(long))
	kind, data, err := s.conn.ReadMessage()
	late, ok := errors.AsType[net.Error](err)
	switch {
	case ok && late.Timeout():
		s.t.Fatal("timeout waiting for a packet")
	case err != nil:
		return "end"
	case kind != websocket.TextMessage:
		s.t.Fatalf("received a frame of kind %d", kind)
	}
	return string(data)
}

func (s *socket) leave() { _ = s.conn.Close() }

// connect authenticates a session. A ping may precede the reply.
func connect(t *testing.T, r *rig, w wire) *fake {
	t.Helper()
	w.send(`40{"who":"me"}`)
	hello := w.receive()
	for ; hello == "2"; hello = w.receive() {
		w.send("3")
	}
	if !strings.HasPrefix(hello, `40{"sid":"`) {
		t.Fatalf("CONNECT returned %q", hello)
	}
	return r.client()
}

// over runs a test over each transport.
func over(t *testing.T, c Config, test func(*rig, wire)) {
	t.Helper()
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c)
			test(r, dial(r))
		})
	}
}

func event(n int) []byte { return Event("n", []byte(jsonOf(n))) }

func jsonOf(v any) string {
	data, _ := json.Marshal(v)
	return string(bytes.TrimSpace(data))
}
