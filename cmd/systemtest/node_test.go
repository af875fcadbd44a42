package systemtest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"firescan/provider/providertest/environ"
)

// A node is a firescan node: a permanent directory and addresses, and the current
// process.
type node struct {
	cluster                  *cluster
	id, dir, log             string
	host, http, port, gossip string
	namespace                string   // empty: that of the test
	flags                    []string // in addition to those of the cluster

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	err     error // of Wait, valid after ended is closed
	stopped bool  // by SIGSTOP
}

// start starts the process of the node.
func (n *node) start(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		t.Fatalf("%s is already running", n.id)
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
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, killWithParent()
	cmd.Env = environ.Clean("FIRESCAN_ROOT_TOKEN=" + n.cluster.admin.token)
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

// running reports whether the process runs and is not frozen.
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
		t.Fatalf("%s is not running", n.id)
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

// kill sends SIGKILL and waits.
func (n *node) kill(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGKILL)
	_ = n.wait(t) // killed
}

// terminate sends SIGTERM and waits. The process must exit without an error.
func (n *node) terminate(t testing.TB) {
	t.Helper()
	n.signal(t, syscall.SIGTERM)
	if err := n.wait(t); err != nil {
		t.Errorf("%s ended with an error: %v", n.id, err)
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

// dispose ends the node at the end of a test. A process that has already ended is an
// error.
func (n *node) dispose(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	cmd, ended := n.cmd, n.ended
	n.mu.Unlock()
	if cmd != nil {
		select {
		case <-ended:
			t.Errorf("%s ended unexpectedly: %v", n.id, n.err)
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

// tail returns the end of the log, at most limit bytes.
func (n *node) tail(limit int64) string {
	f, err := os.Open(n.log)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > limit {
		_, _ = f.Seek(-limit, io.SeekEnd)
	}
	raw, _ := io.ReadAll(f)
	return string(raw)
}

// wipe removes the data directory.
func (n *node) wipe(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(n.dir); err != nil {
		t.Fatal(err)
	}
}
