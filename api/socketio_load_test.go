package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"firescan/api/socketio"
	"firescan/catalog"
	"firescan/provider/mem"
)

// eventClient is a minimal Socket.IO client that sends and receives packets.
type eventClient interface {
	send(packet string) error
	// receive returns the next packets, one or more.
	receive() ([]string, error)
	leave() error
}

type socketClient struct{ conn *websocket.Conn }

func (c socketClient) send(p string) error {
	return c.conn.WriteMessage(websocket.TextMessage, []byte(p))
}

func (c socketClient) receive() ([]string, error) {
	_, p, err := c.conn.ReadMessage()
	return []string{string(p)}, err
}

func (c socketClient) leave() error { return c.conn.Close() }

type pollClient struct{ url string }

// readBody returns the body of a response.
func readBody(res *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", res.StatusCode, data)
	}
	return string(data), err
}

func (c pollClient) send(p string) error {
	_, err := readBody(http.Post(c.url, "text/plain", strings.NewReader(p)))
	return err
}

func (c pollClient) receive() ([]string, error) {
	data, err := readBody(http.Get(c.url))
	return strings.Split(data, "\x1e"), err
}

func (c pollClient) leave() error { return c.send("41") }

// eventClient connects a client over a transport.
func (r *rig) eventClient(ctx context.Context, transport string) (c eventClient, err error) {
	url := r.http.URL + "/socket.io/?EIO=4&transport=" + transport
	var open []string
	if transport == "websocket" {
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, strings.Replace(url, "http", "ws", 1), nil)
		if err != nil {
			return nil, err
		}
		c = socketClient{conn}
		open, err = c.receive()
		if err != nil {
			return nil, err
		}
	} else {
		p := pollClient{url}
		if open, err = p.receive(); err != nil {
			return nil, err
		}
		_, rest, _ := strings.Cut(open[0], `"sid":"`)
		sid, _, _ := strings.Cut(rest, `"`)
		p.url += "&sid=" + sid
		c = p
	}
	if !strings.HasPrefix(open[0], "0{") {
		return nil, fmt.Errorf("the session opened with %q", open)
	}
	if err := c.send(fmt.Sprintf(`40{"token":%q,"organizationId":%q}`, r.tokens[catalog.RoleViewer], org)); err != nil {
		return nil, err
	}
	hello, err := c.receive()
	if err == nil && !strings.HasPrefix(hello[0], `40{"sid":`) {
		err = fmt.Errorf("CONNECT returned %q", hello)
	}
	return c, err
}

// TestTwoThousandClients has clients that connect, receive every event and leave. None of
// their goroutines remain.
func TestTwoThousandClients(t *testing.T) {
	const many, events = 2000, 5
	r := newRig(t, mem.Options{})
	r.configureSockets(socketio.Config{PingInterval: time.Hour, ConnectTimeout: time.Hour}) // a slow machine loses none
	r.metric(`firescan_event_clients{protocol="socketio"} 0`)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	before := runtime.NumGoroutine()
	var used runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&used)
	heap := used.HeapAlloc

	clients := make([]eventClient, many)
	connecting, ctx := errgroup.WithContext(t.Context())
	connecting.SetLimit(32)
	for i := range clients {
		connecting.Go(func() (err error) {
			transport := "websocket"
			if i%10 == 0 {
				transport = "polling"
			}
			clients[i], err = r.eventClient(t.Context(), transport)
			if err != nil {
				return fmt.Errorf("client %d over %s: %w", i, transport, err)
			}
			return ctx.Err()
		})
	}
	if err := connecting.Wait(); err != nil {
		t.Fatal(err)
	}
	r.metric(fmt.Sprintf(`firescan_event_clients{protocol="socketio"} %d`, many))
	runtime.GC()
	runtime.ReadMemStats(&used)
	t.Logf("%d clients, both sides: %d goroutines, %d KiB of heap each", many, runtime.NumGoroutine()-before, (used.HeapAlloc-heap)/many>>10)

	for n := range events {
		r.server.Publish(Event{Org: org, Name: "n", Data: n})
	}
	var listening errgroup.Group
	listening.SetLimit(32)
	for i, c := range clients {
		listening.Go(func() error {
			for n := 0; n < events; {
				packets, err := c.receive()
				if err != nil {
					return fmt.Errorf("client %d: %w", i, err)
				}
				for _, p := range packets {
					if want := fmt.Sprintf(`42["n",%d]`, n); p != want {
						return fmt.Errorf("client %d received %q, want %q", i, p, want)
					}
					n++
				}
			}
			if i%2 == 0 {
				return c.leave()
			}
			return c.send("41") // and the server closes
		})
	}
	if err := listening.Wait(); err != nil {
		t.Fatal(err)
	}
	r.metric(`firescan_event_clients{protocol="socketio"} 0`)
	r.metric(`firescan_event_clients_dropped_total{protocol="socketio"} 0`)
	for _, c := range clients {
		if s, ok := c.(socketClient); ok {
			_ = s.conn.Close() // those that the server closed
		}
	}
	after := 0
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(10 * time.Millisecond) {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if after = runtime.NumGoroutine(); after <= before {
			return
		}
	}
	t.Errorf("%d goroutines before the clients connected, and %d after they left", before, after)
}
