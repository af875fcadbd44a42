// Package socketiotest runs socket.io-client, the npm package that browsers and services
// use, for tests. Its package.json pins the version.
package socketiotest

import (
	"bufio"
	_ "embed" // the client's script and lock file
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"firescan/api/npmtest"
)

var (
	//go:embed package.json
	manifest []byte
	//go:embed package-lock.json
	lock []byte
	//go:embed client.mjs
	script []byte
)

// timeout limits how long a test waits for something that must happen.
const timeout = 60 * time.Second

// Seen is something that happened to a socket.
type Seen struct {
	Name string // of the socket
	// What is connect, connect_error, disconnect, upgrade, event, ack or paused.
	What string
	// At is the client's time in milliseconds since 1970.
	At int64
	// Transport is set after connect and upgrade.
	Transport string
	// Message is the message of an error or the reason of a disconnect.
	Message string
	// Data is the data of an error or an acknowledgement.
	Data json.RawMessage
	// Event and Args are the name and the arguments of an event.
	Event string
	Args  []json.RawMessage
}

// Client is a process that runs named sockets. It ends with the test.
type Client struct {
	t     testing.TB
	stdin interface{ Write([]byte) (int, error) }

	mu   sync.Mutex
	more *sync.Cond
	seen map[string][]Seen // not yet returned by Wait
	over bool
}

// Start installs the client if needed, runs it and waits until it is ready. It needs node
// and npm, and the first time the npm registry.
func Start(t testing.TB) *Client {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(npmtest.Install(t, manifest, lock), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "client.mjs")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", file)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &Client{t: t, stdin: stdin, seen: map[string][]Seen{}}
	c.more = sync.NewCond(&c.mu)
	var reading sync.WaitGroup
	reading.Go(func() { c.read(bufio.NewScanner(stdout)) })
	t.Cleanup(func() {
		_ = stdin.Close() // ends the process
		reading.Wait()
		_ = cmd.Wait()
	})
	c.Wait("", "ready")
	return c
}

func (c *Client) read(lines *bufio.Scanner) {
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var s Seen
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			c.t.Errorf("the client printed %q: %v", lines.Text(), err)
			continue
		}
		c.mu.Lock()
		c.seen[s.Name] = append(c.seen[s.Name], s)
		c.more.Broadcast()
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.more.Broadcast()
}

type command struct {
	Do      string         `json:"do"`
	Name    string         `json:"name"`
	URL     string         `json:"url,omitempty"`
	Options map[string]any `json:"options,omitempty"`
	Event   string         `json:"event,omitempty"`
	Args    []any          `json:"args,omitempty"`
}

func (c *Client) do(m command) {
	c.t.Helper()
	line, err := json.Marshal(m)
	if err == nil {
		_, err = c.stdin.Write(append(line, '\n'))
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// Connect creates a socket. It does not reconnect unless the options enable it.
func (c *Client) Connect(name, url string, options map[string]any) {
	c.t.Helper()
	c.do(command{Do: "connect", Name: name, URL: url, Options: options})
}

// Emit sends an event and returns the data of its acknowledgement.
func (c *Client) Emit(name, event string, args ...any) json.RawMessage {
	c.t.Helper()
	c.do(command{Do: "emit", Name: name, Event: event, Args: append([]any{}, args...)})
	ack := c.Wait(name, "ack")
	if ack.Message != "" {
		c.t.Fatalf("no acknowledgement of %s: %s", event, ack.Message)
	}
	return ack.Data
}

// Pause stops reading from a websocket until Resume.
func (c *Client) Pause(name string) {
	c.t.Helper()
	c.do(command{Do: "pause", Name: name})
	c.Wait(name, "paused")
}

// Resume continues reading after Pause.
func (c *Client) Resume(name string) { c.do(command{Do: "resume", Name: name}) }

// Close closes a socket.
func (c *Client) Close(name string) { c.do(command{Do: "close", Name: name}) }

// Wait returns the first thing in what that happened to a socket, waiting for it if
// needed. It returns each once, and fails the test after a timeout.
func (c *Client) Wait(name string, what ...string) Seen {
	c.t.Helper()
	timer := time.AfterFunc(timeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.over = true
		c.more.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if i := slices.IndexFunc(c.seen[name], func(s Seen) bool { return slices.Contains(what, s.What) }); i >= 0 {
			s := c.seen[name][i]
			c.seen[name] = slices.Delete(c.seen[name], i, i+1)
			return s
		}
		if c.over {
			c.t.Fatalf("socket %q saw no %v, but %+v", name, what, c.seen[name])
		}
		c.more.Wait()
	}
}
