package socketio

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestConversation(t *testing.T) {
	over(t, Config{}, func(r *rig, w wire) {
		t := r.t
		for _, said := range [][2]string{
			{`40/other,{"who":"me"}`, `44/other,{"message":"Invalid namespace"}`},
			{`40/other`, `44/other,{"message":"Invalid namespace"}`},
			{`40{"who":"denied"}`, `44{"message":"You may not","data":{"code":7}}`},
			{`40{"who":"broken"}`, `44{"message":"The connection was refused"}`},
		} {
			w.send(said[0])
			if got := w.receive(); got != said[1] {
				t.Errorf("%s: received %s, want %s", said[0], got, said[1])
			}
		}
		c := connect(t, r, w)
		if c.auth != `{"who":"me"}` {
			t.Errorf("connected with %s", c.auth)
		}
		c.events <- Event("a \"name\"", []byte(`{"x":[1]}`))
		for _, said := range [][2]string{
			{``, `42["a \"name\"",{"x":[1]}]`},
			{`42["said"]`, ``},
			{`4215["said",1,{"a":"\u001e"}]`, `4315[{"args":[1,{"a":"\u001e"}],"event":"said"}]`},
			{`43[1]`, ``},
			{`6`, ``},
			{`3`, ``},
			{`420["said"]`, `430[{"args":[],"event":"said"}]`},
		} {
			if said[0] != "" {
				w.send(said[0])
			}
			if said[1] == "" {
				continue
			}
			if got := w.receive(); got != said[1] {
				t.Errorf("%s: received %s, want %s", said[0], got, said[1])
			}
		}
		w.send("41")
		if c.ends(t) {
			t.Error("a client that disconnected was reported as slow")
		}
		if got := w.receive(); got != "end" {
			t.Errorf("after the disconnect: %s", got)
		}
	})
}

// TestBadPackets sends invalid packets before and after CONNECT: each ends its session
// and no other.
func TestBadPackets(t *testing.T) {
	bad := []string{
		"", "0", "2", "2probe", "5", "7", "x", "b", "bAAEC", "\x00", "4", "44", "45", "46", "47", "4x", "42", "42[", "42[]", "42{}",
		"42null", "42[1]", `42[{}]`, `42"a"`, "42/", `42/other["a"]`, `42/other,["a"]`, `40{"who":`, `40/` + strings.Repeat("n", 200) + `,{}`,
		`451-["a",{"_placeholder":true,"num":0}]`, `450-["a"]`, `4599999999999999999999-["a"]`, "42" + strings.Repeat("[", 20000), "42[\"a\"]]",
		`40{"token":"canary`, `421["channel"]`, `42["panic"]`, `43/other,1[]`, "41/other", "\xff\xfe", "4\xff", "é",
	}
	for name, dial := range dialers {
		for _, connected := range []bool{false, true} {
			t.Run(fmt.Sprint(name, connected), func(t *testing.T) {
				var log bytes.Buffer
				r := newRig(t, Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
				for _, packet := range bad {
					w := dial(r)
					var c *fake
					if connected {
						c = connect(t, r, w)
					}
					w.send(packet)
					if got := w.receive(); got != "end" {
						t.Errorf("%.50q: received %q", packet, got)
					}
					if c != nil && c.ends(t) {
						t.Errorf("%.50q: the client was reported as slow", packet)
					}
				}
				eventually(t, "all sessions end", func() bool { return r.sessions() == 0 })
				last := dial(r)
				connect(t, r, last)
				last.leave()
				r.server.Close() // after which nothing is logged
				if strings.Contains(log.String(), "cana") {
					t.Errorf("a token is in the log: %s", log.String())
				}
				if n := strings.Count(log.String(), "level=ERROR"); connected && n != 1 || !connected && n != 0 {
					t.Errorf("%d errors in the log: %s", n, log.String())
				}
			})
		}
	}
}

// TestPacketsInWrongState connects twice, and sends packets before CONNECT.
func TestPacketsInWrongState(t *testing.T) {
	for _, packets := range [][]string{{`42["a"]`}, {"41"}, {"43[]"}, {`40{"who":"me"}`, `40{"who":"me"}`}} {
		over(t, Config{}, func(r *rig, w wire) {
			t := r.t
			for _, p := range packets {
				w.send(p)
			}
			for range packets {
				if w.receive() == "end" {
					return
				}
			}
			t.Errorf("%q did not end the session", packets)
		})
	}
}

func TestPings(t *testing.T) {
	over(t, Config{PingInterval: 5 * time.Millisecond}, func(r *rig, w wire) {
		t := r.t
		c := connect(t, r, w)
		for range 20 {
			if got := w.receive(); got != "2" {
				t.Fatalf("received %q, want a ping", got)
			}
			w.send("3")
		}
		c.revoked.Store(true)
		for {
			got := w.receive()
			if got == "41" {
				break
			}
			if got != "2" {
				t.Fatalf("a client that is no longer authorized received %q", got)
			}
		}
		c.ends(t)
		if got := w.receive(); got != "end" {
			t.Errorf("after the disconnect packet: %q", got)
		}
	})
}

// TestSilence has clients that receive pings but return none, and one that does not poll.
func TestSilence(t *testing.T) {
	c := Config{PingInterval: time.Second, PingTimeout: time.Second}
	over(t, c, func(r *rig, w wire) {
		t := r.t
		c := connect(t, r, w)
		for w.receive() == "2" {
		}
		c.ends(t)
	})
	r := newRig(t, c)
	silent := r.poll()
	silent.send("40")
	if r.client().ends(t) {
		t.Error("a silent client was reported as slow")
	}
}

func TestConnectTimeout(t *testing.T) {
	over(t, Config{ConnectTimeout: 500 * time.Millisecond}, func(r *rig, w wire) {
		t := r.t
		if got := w.receive(); got != "end" {
			t.Errorf("an unauthenticated client received %q", got)
		}
		eventually(t, "all sessions end", func() bool { return r.sessions() == 0 })
	})
}

func TestUnauthenticatedSessionsAreLimited(t *testing.T) {
	r := newRig(t, Config{ConnectTimeout: time.Hour, PingInterval: time.Hour})
	w := r.dial("")
	c := connect(t, r, w) // no longer counts
	var sids []string
	begin := func(address string) {
		w, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, query+"polling", nil)
		request.RemoteAddr = address + ":1"
		if r.server.ServeHTTP(w, request); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
		_, rest, _ := strings.Cut(w.Body.String(), `"sid":"`)
		sid, _, _ := strings.Cut(rest, `"`)
		sids = append(sids, sid)
	}
	begin("192.0.2.200") // a client that is slow to authenticate
	for range 2 * maxUnauthenticated {
		begin("192.0.2.1")
	}
	if n := r.unauthenticated(); n != maxPerAddress+1 || r.sessions() != n+1 {
		t.Errorf("%d sessions, %d of them without a token, want %d for one address", r.sessions(), n, maxPerAddress)
	}
	if r.server.registry.get(sids[0]) == nil || r.server.registry.get(sids[1]) != nil {
		t.Error("the sessions of one address must end others of this address only, the oldest first")
	}
	for n := range 2 * maxUnauthenticated {
		begin(fmt.Sprintf("198.51.100.%d", n%100))
	}
	if n := r.unauthenticated(); n != maxUnauthenticated || r.sessions() != n+1 {
		t.Errorf("%d sessions, %d of them without a token, want %d", r.sessions(), n, maxUnauthenticated)
	}
	// Neither newcomers nor those who have authenticated are kept out.
	connect(t, r, r.poll())
	connect(t, r, r.dial(""))
	c.events <- event(1)
	if got := w.receive(); got != `42["n",1]` {
		t.Errorf("an authenticated client received %q", got)
	}
}

// TestSlowClients has clients that do not read their events or replies.
func TestSlowClients(t *testing.T) {
	t.Run("websocket", func(t *testing.T) {
		r := newRig(t, Config{WriteTimeout: time.Second})
		c := connect(t, r, r.dial(""))
		large := Event("large", []byte(jsonOf(strings.Repeat("x", 1<<20))))
		for sending := true; sending; {
			select {
			case c.events <- large:
			case slow := <-c.closed:
				if !slow {
					t.Error("a client that does not read was not reported as slow")
				}
				sending = false
			case <-time.After(long):
				t.Fatal("a client that does not read stays connected")
			}
		}
	})
	t.Run("polling", func(t *testing.T) {
		r := newRig(t, Config{})
		w := r.poll()
		c := connect(t, r, w)
		for range maxReplies {
			w.send(`421["a"]`)
		}
		select {
		case <-c.closed:
			t.Fatal("closed too early")
		default:
		}
		w.send(`421["a"]`)
		if !c.ends(t) {
			t.Error("a client that does not read its replies was not reported as slow")
		}
	})
}

// TestApplicationEndsClient checks that queued events are still sent.
func TestApplicationEndsClient(t *testing.T) {
	over(t, Config{}, func(r *rig, w wire) {
		t := r.t
		c := connect(t, r, w)
		c.events <- event(1)
		c.events <- event(2)
		close(c.events)
		for _, want := range []string{`42["n",1]`, `42["n",2]`, "end"} {
			if got := w.receive(); got != want {
				t.Fatalf("received %q, want %q", got, want)
			}
		}
		c.ends(t)
	})
}

func TestClose(t *testing.T) {
	over(t, Config{}, func(r *rig, w wire) {
		t := r.t
		polling, deaf := r.poll(), r.dial("") // deaf returns no close frame
		c := connect(t, r, w)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if got := w.receive(); got != "end" {
				t.Errorf("received %q", got)
			}
		})
		r.server.Close()
		waiting.Wait()
		c.ends(t)
		if got := polling.receive(); got != "end" {
			t.Errorf("an unauthenticated client received %q", got)
		}
		if got := deaf.receive(); got != "end" {
			t.Errorf("a deaf client received %q", got)
		}
		if code, body := r.do("GET", query+"polling", ""); code != http.StatusServiceUnavailable {
			t.Errorf("a new session: %d %s", code, body)
		}
		if code, body := r.do("GET", query+"websocket", "", upgradeHeader...); code != http.StatusServiceUnavailable {
			t.Errorf("a new websocket: %d %s", code, body)
		}
	})
}

// TestConnectionLost has clients whose connection breaks.
func TestConnectionLost(t *testing.T) {
	r := newRig(t, Config{})
	w := r.dial("")
	c := connect(t, r, w)
	_ = w.conn.NetConn().Close()
	if c.ends(t) {
		t.Error("a lost client was reported as slow")
	}
	p := r.poll()
	c = connect(t, r, p)
	polling, stop := newPoll(t, r, p)
	r.waitForPoll(p.sid)
	stop()
	<-polling
	c.ends(t)
}

func TestLargePackets(t *testing.T) {
	r := newRig(t, Config{})
	fits := `421["a","` + strings.Repeat("x", maxPayload-11) + `"]`
	for name, dial := range dialers {
		w := dial(r)
		c := connect(t, r, w)
		w.send(fits)
		if got := w.receive(); len(got) < maxPayload {
			t.Errorf("%s: a packet that fits: received %.50q", name, got)
		}
		w.send(fits + "\n")
		if got := w.receive(); got != "end" {
			t.Errorf("%s: a packet that is too large: received %.50q", name, got)
		}
		c.ends(t)
	}
	// A body of unknown length, without a connection whose buffers would take some of it.
	endless := &endlessReader{}
	recorder := httptest.NewRecorder()
	r.server.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, query+"polling&sid="+r.poll().sid, endless))
	if recorder.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("an endless body: %d", recorder.Code)
	}
	if endless.read > maxPayload+1 {
		t.Errorf("%d bytes of an endless body were read", endless.read)
	}
	// A message in many frames.
	s := r.dial("")
	message, err := s.conn.NextWriter(websocket.TextMessage)
	for range 100 {
		if err == nil {
			_, err = message.Write(bytes.Repeat([]byte{'4'}, 1024))
		}
	}
	if got := s.receive(); got != "end" {
		t.Errorf("a message in many frames: received %.50q", got)
	}
}

type endlessReader struct{ read int }

func (e *endlessReader) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}
