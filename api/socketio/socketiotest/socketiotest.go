// Package socketiotest runs the npm client of Socket.IO for tests: the one that browsers
// and services use, in the version that package.json pins.
package socketiotest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	_ "embed" // the client's script and lock file
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	//go:embed package.json
	manifest []byte
	//go:embed package-lock.json
	lock []byte
	//go:embed client.mjs
	script []byte
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// Seen is something that happened to a socket.
type Seen struct {
	Name string
	// What is connect, connect_error, disconnect, upgrade, event, ack or paused.
	What string
	// At is when, in milliseconds of the client's clock.
	At int64
	// Transport is that of a socket that connected or was upgraded.
	Transport string
	// Message is an error's, or the reason of a disconnect.
	Message string
	// Data is that of an error, or the answer of an acknowledgement.
	Data json.RawMessage
	// Event and Args are what an event carried.
	Event string
	Args  []json.RawMessage
}

// Client is a process that runs sockets, which have names. It ends with the test.
type Client struct {
	t     testing.TB
	stdin interface{ Write([]byte) (int, error) }

	mu   sync.Mutex
	more *sync.Cond
	seen map[string][]Seen // that no Wait has had
	over bool
}

// Start installs the client, unless that was done before, and runs it. It needs node and
// npm, and for the first time npm's registry.
func Start(t testing.TB) *Client {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(install(t), filepath.Join(dir, "node_modules")); err != nil {
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
		_ = stdin.Close() // which ends it
		reading.Wait()
		_ = cmd.Wait()
	})
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

// Connect makes a socket. Unless the options say otherwise, it does not connect again.
func (c *Client) Connect(name, url string, options map[string]any) {
	c.t.Helper()
	c.do(command{Do: "connect", Name: name, URL: url, Options: options})
}

// Emit sends an event, and answers the data of its acknowledgement.
func (c *Client) Emit(name, event string, args ...any) json.RawMessage {
	c.t.Helper()
	c.do(command{Do: "emit", Name: name, Event: event, Args: append([]any{}, args...)})
	ack := c.Wait(name, "ack")
	if ack.Message != "" {
		c.t.Fatalf("%s is not acknowledged: %s", event, ack.Message)
	}
	return ack.Data
}

// Pause has the client of a websocket read nothing more, until Resume.
func (c *Client) Pause(name string) {
	c.t.Helper()
	c.do(command{Do: "pause", Name: name})
	c.Wait(name, "paused")
}

// Resume has it read again.
func (c *Client) Resume(name string) { c.do(command{Do: "resume", Name: name}) }

// Close has a socket leave.
func (c *Client) Close(name string) { c.do(command{Do: "close", Name: name}) }

// Wait answers the first thing that happened to a socket, or will, and is one of what.
// It answers each once, and fails the test when nothing comes.
func (c *Client) Wait(name string, what ...string) Seen {
	c.t.Helper()
	late := time.AfterFunc(patience, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.over = true
		c.more.Broadcast()
	})
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if i := slices.IndexFunc(c.seen[name], func(s Seen) bool { return slices.Contains(what, s.What) }); i >= 0 {
			s := c.seen[name][i]
			c.seen[name] = slices.Delete(c.seen[name], i, i+1)
			return s
		}
		if c.over {
			c.t.Fatalf("the client %s saw no %v, but %+v", name, what, c.seen[name])
		}
		c.more.Wait()
	}
}

// install answers the directory of the client's modules.
func install(t testing.TB) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the tests of Socket.IO run its npm client: install node 18 or later and npm (apt-get install nodejs npm): %v", err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(append(bytes.Clone(manifest), lock...))
	dir := filepath.Join(cache, "firescan-tests", "socketio-"+hex.EncodeToString(hash[:8]))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		t.Fatal(err)
	}
	// Made elsewhere and moved, so that what is there is whole, also with two tests at once.
	making, err := os.MkdirTemp(filepath.Dir(dir), "installing-") //nolint:usetesting // it is moved, within a file system
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(making) }()
	for name, content := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(making, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = making
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm could not install the client of Socket.IO (is its registry in reach?): %v\n%s", err, out)
	}
	if err := os.Rename(making, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, made := os.Stat(modules); made != nil {
			t.Fatal(err)
		}
	}
	return modules
}
