package systemtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// node is a firescan node: a place to run, a directory and addresses that it keeps, and
// the process of the moment.
type node struct {
	cluster                  *cluster
	id, dir, log             string
	host, http, port, gossip string
	namespace                string   // where it runs; empty is where the test does
	flags                    []string // of its own

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	err     error // of Wait, read after ended is closed
	stopped bool  // by SIGSTOP
}

// start runs the node, which may have run before.
func (n *node) start(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		t.Fatalf("%s runs already", n.id)
	}
	out, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	name, args := n.cluster.program, []string{
		"serve", "--node-id", n.id, "--data-dir", n.dir, "--http-addr", n.http, "--cluster-addr", n.port, "--gossip-addr", n.gossip,
		"--advertise-host", n.host, "--cluster-secret-file", n.cluster.secretFile, "--allow-endpoint", "*:*", "--log-level", "debug", "--sync-every", "0",
	}
	for _, peer := range n.cluster.nodes {
		if peer != n {
			args = append(args, "--join", peer.gossip)
		}
	}
	args = append(append(args, n.cluster.flags...), n.flags...)
	if n.namespace != "" {
		name, args = "ip", append([]string{"netns", "exec", n.namespace, n.cluster.program}, args...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, dieWithTest()
	cmd.Env = append(os.Environ(), "FIRESCAN_ROOT_TOKEN="+n.cluster.admin.token)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	n.cmd, n.ended, n.stopped = cmd, ended, false
	go func() {
		n.err = cmd.Wait()
		close(ended)
	}()
}

// running tells whether the node can answer.
func (n *node) running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil || n.stopped {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

func (n *node) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		t.Fatalf("%s does not run", n.id)
	}
	if err := n.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	switch s {
	case syscall.SIGSTOP:
		n.stopped = true
	case syscall.SIGCONT:
		n.stopped = false
	}
}

// kill ends the node without a warning.
func (n *node) kill(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGKILL)
	_ = n.wait(t) // it was killed
}

// quit ends the node as an operator does, which it must do cleanly.
func (n *node) quit(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGTERM)
	if err := n.wait(t); err != nil {
		t.Errorf("%s did not end cleanly: %v", n.id, err)
	}
}

func (n *node) freeze(t testing.TB) { t.Helper(); n.signal(t, syscall.SIGSTOP) }
func (n *node) thaw(t testing.TB)   { t.Helper(); n.signal(t, syscall.SIGCONT) }

// wait waits until the process has ended.
func (n *node) wait(t testing.TB) error {
	t.Helper()
	n.mu.Lock()
	ended := n.ended
	n.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end", n.id)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd, n.stopped = nil, false
	return n.err
}

// dispose ends the node at the end of a test. One that ended by itself has failed.
func (n *node) dispose(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	cmd, ended := n.cmd, n.ended
	n.mu.Unlock()
	if cmd != nil {
		select {
		case <-ended:
			t.Errorf("%s ended by itself: %v", n.id, n.err)
		default:
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	log := n.tail(1 << 20)
	if i := strings.Index(log, "DATA RACE"); i >= 0 {
		t.Errorf("the log of %s has a race:\n%s", n.id, log[i:min(len(log), i+6000)])
	}
	if i := strings.Index(log, "panic: "); i >= 0 {
		t.Errorf("%s panicked:\n%s", n.id, log[i:min(len(log), i+6000)])
	}
	if !t.Failed() {
		return
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(log), "\n"), func(l string) bool { return strings.Contains(l, "level=DEBUG") })
	t.Logf("the log of %s ends with (FIRESCAN_KEEP=DIR keeps all of it):\n%s", n.id, strings.Join(lines[max(0, len(lines)-25):], "\n"))
}

// tail is the end of the node's log.
func (n *node) tail(most int64) string {
	f, err := os.Open(n.log)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	raw, _ := io.ReadAll(f)
	return string(raw)
}

// empty takes all away that the node has stored.
func (n *node) empty(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(n.dir); err != nil {
		t.Fatal(err)
	}
}

// nextPort is where the search for free ports goes on. It keeps below those that systems
// give to outgoing connections, so that a node that is down finds its own free again.
var nextPort atomic.Int64

// freePort finds a port of which both TCP and UDP are free.
func freePort(t testing.TB) string {
	t.Helper()
	nextPort.CompareAndSwap(0, 15_000+rand.Int64N(12_000))
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = u.Close()
		return addr
	}
	t.Fatal("no port is free")
	return ""
}
