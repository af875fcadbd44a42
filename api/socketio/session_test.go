package socketio

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
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
				t.Errorf("%s is answered with %s, want %s", said[0], got, said[1])
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
				t.Errorf("%s is answered with %s, want %s", said[0], got, said[1])
			}
		}
		w.send("41")
		if c.ends(t) {
			t.Error("a client that disconnects is taken for slow")
		}
		if got := w.receive(); got != "end" {
			t.Errorf("after disconnecting: %s", got)
		}
	})
}

// TestBadPackets sends what no client sends, before and after connecting: it ends that
// session and nothing else.
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
						t.Errorf("%.50q is answered with %q", packet, got)
					}
					if c != nil && c.ends(t) {
						t.Errorf("who sent %.50q is taken for slow", packet)
					}
				}
				eventually(t, "no session is left", func() bool { return r.sessions() == 0 })
				last := dial(r)
				connect(t, r, last)
				last.leave()
				r.server.Close() // and nobody logs any more
				if strings.Contains(log.String(), "cana") {
					t.Errorf("what a client sent is in the log: %s", log.String())
				}
				if n := strings.Count(log.String(), "level=ERROR"); connected && n != 1 || !connected && n != 0 {
					t.Errorf("%d errors are logged: %s", n, log.String())
				}
			})
		}
	}
}

// TestPacketsAtTheWrongTime connects twice, and speaks before connecting.
func TestPacketsAtTheWrongTime(t *testing.T) {
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
		c.unknown.Store(true)
		for {
			got := w.receive()
			if got == "41" {
				break
			}
			if got != "2" {
				t.Fatalf("a client that is not known any more receives %q", got)
			}
		}
		c.ends(t)
		if got := w.receive(); got != "end" {
			t.Errorf("it goes on with %q", got)
		}
	})
}

// TestSilence has clients that take pings and do not answer, and one that takes nothing.
func TestSilence(t *testing.T) {
	c := Config{PingInterval: 10 * time.Millisecond, PingTimeout: 30 * time.Millisecond}
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
		t.Error("a silent client is taken for slow")
	}
}

func TestStrangersMustSayWhoTheyAre(t *testing.T) {
	over(t, Config{ConnectTimeout: 20 * time.Millisecond}, func(r *rig, w wire) {
		t := r.t
		if got := w.receive(); got != "end" {
			t.Errorf("a stranger receives %q", got)
		}
		eventually(t, "no session is left", func() bool { return r.sessions() == 0 })
	})
}

func TestStrangersAreBounded(t *testing.T) {
	r := newRig(t, Config{})
	w := r.dial("")
	c := connect(t, r, w) // is none any more
	begin := func() int {
		answer := httptest.NewRecorder()
		r.server.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, query+"polling", nil))
		return answer.Code
	}
	for range maxStrangers {
		if code := begin(); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	if code := begin(); code != http.StatusServiceUnavailable {
		t.Errorf("one stranger too many is answered %d", code)
	}
	if code, _ := r.do("GET", query+"websocket", "", upgradeHeader...); code != http.StatusServiceUnavailable {
		t.Errorf("one stranger too many is answered %d", code)
	}
	c.events <- event(1)
	if got := w.receive(); got != `42["n",1]` {
		t.Errorf("who is known receives %q", got)
	}
}

// TestSlowClients do not read, or do not take their answers.
func TestSlowClients(t *testing.T) {
	t.Run("websocket", func(t *testing.T) {
		r := newRig(t, Config{WriteTimeout: 20 * time.Millisecond})
		c := connect(t, r, r.dial(""))
		large := Event("large", []byte(jsonOf(strings.Repeat("x", 1<<20))))
		for sending := true; sending; {
			select {
			case c.events <- large:
			case slow := <-c.closed:
				if !slow {
					t.Error("a client that does not read is not taken for slow")
				}
				sending = false
			case <-time.After(long):
				t.Fatal("a client that does not read goes on for ever")
			}
		}
	})
	t.Run("polling", func(t *testing.T) {
		r := newRig(t, Config{})
		w := r.poll()
		c := connect(t, r, w)
		for range ownQueue {
			w.send(`421["a"]`)
		}
		select {
		case <-c.closed:
			t.Fatal("closed too early")
		default:
		}
		w.send(`421["a"]`)
		if !c.ends(t) {
			t.Error("a client that does not take its answers is not taken for slow")
		}
	})
}

// TestTheApplicationEndsAClient as it does with one that has too many events to come:
// what is there already is still sent.
func TestTheApplicationEndsAClient(t *testing.T) {
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
		stranger, deaf := r.poll(), r.dial("") // which does not say goodbye
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
		if got := stranger.receive(); got != "end" {
			t.Errorf("a stranger received %q", got)
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

// TestClientsThatVanish close their connection without a word.
func TestClientsThatVanish(t *testing.T) {
	r := newRig(t, Config{})
	w := r.dial("")
	c := connect(t, r, w)
	_ = w.conn.NetConn().Close()
	if c.ends(t) {
		t.Error("a client that vanished is taken for slow")
	}
	p := r.poll()
	c = connect(t, r, p)
	polling, stop := newPoll(t, r, p)
	eventually(t, "it polls", func() bool { return len(r.server.session(p.sid).seat) == 1 })
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
			t.Errorf("%s: a packet that fits is answered with %.50q", name, got)
		}
		w.send(fits + "\n")
		if got := w.receive(); got != "end" {
			t.Errorf("%s: a packet that is too large is answered with %.50q", name, got)
		}
		c.ends(t)
	}
	// A body whose length is not told beforehand.
	p := r.poll()
	endless := &endlessReader{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http.URL+query+"polling&sid="+p.sid, endless)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("an endless body is answered %d", res.StatusCode)
		}
		_ = res.Body.Close()
	}
	if n := endless.read.Load(); n > 64*maxPayload {
		t.Errorf("%d bytes of an endless body were taken", n)
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
		t.Errorf("a message in many frames is answered with %.50q", got)
	}
}

type endlessReader struct{ read atomic.Int64 }

func (e *endlessReader) Read(p []byte) (int, error) {
	e.read.Add(int64(len(p)))
	return len(p), nil
}
