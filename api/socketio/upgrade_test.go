package socketio

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// newPoll starts a poll.
func newPoll(t *testing.T, r *rig, p *poller) (body <-chan string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.http.URL+query+"polling&sid="+p.sid, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 1)
	go func() {
		defer close(out)
		defer cancel()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		out <- string(data)
	}()
	return out, cancel
}

// TestUpgrade moves a session to a websocket while events arrive: none is lost, repeated
// or out of order.
func TestUpgrade(t *testing.T) {
	r := newRig(t, Config{})
	p := r.poll()
	c := connect(t, r, p)
	const many = 1000
	go func() {
		for n := range many {
			c.events <- event(n)
		}
	}()
	var got []string
	take := func(packet string) {
		if packet != "6" {
			got = append(got, packet)
		}
	}
	for len(got) < many/4 {
		take(p.receive())
	}
	w := r.dial(p.sid)
	w.send("2probe")
	pong := make(chan string, 1)
	go func() { pong <- w.receive() }()
	for probed := false; !probed; { // the client polls until then
		select {
		case packet := <-pong:
			if packet != "3probe" {
				t.Fatalf("probe: received %q", packet)
			}
			probed = true
		default:
			take(p.receive())
		}
	}
	for _, packet := range p.had {
		take(packet)
	}
	w.send("5")
	for len(got) < many {
		take(w.receive())
	}
	for n, packet := range got {
		if want := string(event(n)); packet != want {
			t.Fatalf("packet %d is %q, want %q", n, packet, want)
		}
	}
	w.send(`421["still"]`)
	if got := w.receive(); !strings.Contains(got, "still") {
		t.Errorf("after the upgrade: received %q", got)
	}
	if code, body := r.do("GET", query+"polling&sid="+p.sid, ""); code != http.StatusBadRequest {
		t.Errorf("polling after the upgrade: %d %s", code, body)
	}
	if code, body := r.do("GET", query+"websocket&sid="+p.sid, "", upgradeHeader...); code != http.StatusBadRequest {
		t.Errorf("a second upgrade: %d %s", code, body)
	}
}

// TestUpgradeEndsPoll checks that a waiting poll ends, since the client waits for that.
func TestUpgradeEndsPoll(t *testing.T) {
	r := newRig(t, Config{})
	p := r.poll()
	connect(t, r, p)
	waiting, _ := newPoll(t, r, p)
	r.waitForPoll(p.sid)
	w := r.dial(p.sid)
	w.send("2probe")
	if got := w.receive(); got != "3probe" {
		t.Fatalf("probe: received %q", got)
	}
	if got := within(t, waiting, "the end of the poll"); got != "6" {
		t.Errorf("the poll returned %q", got)
	}
	if got := p.receive(); got != "6" { // sent before the client knew
		t.Errorf("the next poll returned %q", got)
	}
	w.send("5")
	w.send(`421["moved"]`)
	if got := w.receive(); !strings.Contains(got, "moved") {
		t.Errorf("received %q", got)
	}
}

// TestFailedUpgrades checks that a session goes on polling after a failed upgrade.
func TestFailedUpgrades(t *testing.T) {
	for name, fail := range map[string]func(*socket){
		"another packet":             func(w *socket) { w.send(`40{}`) },
		"an empty packet":            func(w *socket) { w.send("") },
		"the wrong probe":            func(w *socket) { w.send("2") },
		"an upgrade without a probe": func(w *socket) { w.send("5") },
		"a binary probe":             func(w *socket) { _ = w.conn.WriteMessage(websocket.BinaryMessage, []byte("2probe")) },
		"nothing":                    func(w *socket) { _ = w.conn.NetConn().Close() },
		"another after a probe":      func(w *socket) { w.send("2probe"); w.receive(); w.send("42[]") },
		"nothing after a probe":      func(w *socket) { w.send("2probe"); w.receive(); _ = w.conn.NetConn().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			p := r.poll()
			c := connect(t, r, p)
			w := r.dial(p.sid)
			if code, body := r.do("GET", query+"websocket&sid="+p.sid, "", upgradeHeader...); code != http.StatusBadRequest {
				t.Errorf("a second upgrade at the same time: %d %s", code, body)
			}
			fail(w)
			if name != "nothing" {
				for w.receive() != "end" {
				}
			}
			one := r.server.registry.get(p.sid)
			eventually(t, "the upgrade ends", func() bool {
				one.mu.Lock()
				defer one.mu.Unlock()
				return !one.upgrading
			})
			waiting, _ := newPoll(t, r, p)
			r.waitForPoll(p.sid)
			c.events <- event(1)
			if got := within(t, waiting, "an event"); got != `42["n",1]` {
				t.Errorf("received %q", got)
			}
			w = r.dial(p.sid)
			w.send("2probe")
			if got := w.receive(); got != "3probe" {
				t.Errorf("next probe: received %q", got)
			}
			w.send("5")
			c.events <- event(2)
			if got := w.receive(); got != `42["n",2]` {
				t.Errorf("received %q", got)
			}
		})
	}
}

// TestSessionEndsDuringUpgrade checks that the websocket ends with its session.
func TestSessionEndsDuringUpgrade(t *testing.T) {
	r := newRig(t, Config{})
	p := r.poll()
	connect(t, r, p)
	w := r.dial(p.sid)
	w.send("2probe")
	w.receive()
	p.leave()
	if got := w.receive(); got != "end" {
		t.Errorf("received %q", got)
	}
}
