package socketio

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// FuzzParsePacket encodes each parsed packet and compares it with the original.
func FuzzParsePacket(f *testing.F) {
	for _, s := range []string{"0", `0{"token":"x"}`, "1", `2["a",{"b":[1,null]}]`, `2/x,17["a"]`, "3[]", "30[]", "2/", "20"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePacket(text)
		if err != nil {
			return
		}
		whole := string(p.kind)
		if strings.HasPrefix(string(text[1:]), "/") {
			whole += p.namespace
			if strings.Contains(string(text), ",") && len(text) > len(whole) {
				whole += ","
			}
		}
		if whole += p.id + string(p.data); whole != string(text) {
			t.Fatalf("%q is parsed as %+v", text, p)
		}
		if name, args, err := p.event(); err == nil {
			if _, err := json.Marshal(append([]any{name}, any(args))); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// quietApp accepts every client and sends no events.
type quietApp struct{}

type quietClient struct{ closed int }

func (quietApp) Connect(Opening, json.RawMessage) (Client, error) { return &quietClient{}, nil }

func (*quietClient) Events() <-chan []byte                    { return nil }
func (*quietClient) Authorized() bool                         { return true }
func (c *quietClient) Close(bool)                             { c.closed++ }
func (*quietClient) Handle(_ string, a []json.RawMessage) any { return a }

// FuzzSession sends packets and reads the replies: a session never panics, sends only
// valid packets, and closes its client once.
func FuzzSession(f *testing.F) {
	for _, s := range []string{"40\x1e421[\"a\"]", "40{}\x1e41", "3\x1e40/x,\x1e40", "40\x1e2\x1e5", "40\x1e42[\"a\",{\"_placeholder\":true}]"} {
		f.Add(s)
	}
	server := New(Config{Application: quietApp{}, Open: remoteAddress, Logger: slog.New(slog.DiscardHandler)})
	defer server.Close()
	f.Fuzz(func(t *testing.T, body string) {
		one := server.open(httptest.NewRequest(http.MethodGet, "/", nil))
		for p := range strings.SplitSeq(body, "\x1e") {
			one.receive([]byte(p))
			for len(one.replies) > 0 {
				packets, err := one.next(t.Context(), nil)
				if err != nil {
					break
				}
				for _, reply := range packets {
					if strings.Contains(string(reply), "\x1e") || reply[0] != engineMessage {
						t.Fatalf("%q: reply %q", p, reply)
					}
				}
			}
		}
		one.close("the test ends", false)
		if c, ok := one.current().(*quietClient); ok && c.closed != 1 {
			t.Fatalf("the client was closed %d times", c.closed)
		}
	})
}

// TestChaos runs clients that do everything at once: invalid frames while they upgrade,
// canceled polls, posts in between. All their sessions end.
func TestChaos(t *testing.T) {
	r := newRig(t, Config{
		PingInterval: 20 * time.Millisecond, PingTimeout: 100 * time.Millisecond, ConnectTimeout: 100 * time.Millisecond, WriteTimeout: 50 * time.Millisecond,
	})
	frames := []string{"2probe", "5", "x", "", "1", "3", "2", "4", "40", "41", "6", `451-["x"]`, `421["a"]`, "2probe", "5", "5"}
	anyFrame := func() string { return frames[rand.IntN(len(frames))] }
	some := func() time.Duration { return rand.N(20 * time.Millisecond) }
	try := func(ctx context.Context, method, sid, body string) {
		req, err := http.NewRequestWithContext(ctx, method, r.http.URL+query+"polling&sid="+sid, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}
	publishing := make(chan struct{})
	var all, app sync.WaitGroup
	app.Go(func() { // fills the clients' queues, then ends the clients
		for {
			select {
			case c := <-r.clients:
				app.Go(func() {
					for n := range 100 {
						select {
						case c.events <- event(n):
						case <-c.closed:
							return
						}
					}
					close(c.events)
					<-c.closed
				})
			case <-publishing:
				return
			}
		}
	})
	for i := range 16 {
		all.Go(func() {
			for range 8 {
				p := r.pollUntilOpen()
				var at sync.WaitGroup
				at.Go(func() {
					try(t.Context(), "POST", p.sid, "40")
					for range 3 {
						try(t.Context(), "POST", p.sid, anyFrame())
					}
				})
				at.Go(func() {
					for range 3 {
						ctx, cancel := context.WithTimeout(t.Context(), some())
						try(ctx, "GET", p.sid, "")
						cancel()
					}
				})
				at.Go(func() {
					url := strings.Replace(r.http.URL, "http", "ws", 1) + query + "websocket"
					if i%2 == 0 {
						url += "&sid=" + p.sid
					}
					conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
					if err != nil {
						return
					}
					for range 5 {
						_ = conn.WriteMessage(websocket.TextMessage, []byte(anyFrame()))
					}
					time.Sleep(some())
					_ = conn.Close()
				})
				at.Wait()
			}
		})
	}
	all.Wait()
	eventually(t, "all sessions end", func() bool { return r.sessions() == 0 })
	close(publishing)
	app.Wait()
	for len(r.clients) > 0 {
		(<-r.clients).ends(t)
	}
	eventually(t, "no session is unauthenticated", func() bool { return r.unauthenticated() == 0 })
	eventually(t, "a new client connects", func() bool {
		try(t.Context(), "POST", r.pollUntilOpen().sid, "40") // fails when the session times out before
		return len(r.clients) > 0
	})
}
