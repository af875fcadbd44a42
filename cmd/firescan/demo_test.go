package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	apiclient "firescan/api/client"
	"firescan/node"
)

// The demo keeps serving after the demonstration, with the token that it printed, until
// it is interrupted; then it leaves no files.
func TestDemoKeepsServing(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a node for seconds")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	a, _, _ := testApp(nil)
	errs := &onWrite{do: func() {}} // the log and the progress are written at once
	a.err = errs
	a.program = "bin/firescan"
	shown := make(chan struct{})
	out := &onWrite{}
	out.do = func() {
		if strings.HasSuffix(out.String(), "/metrics\"\n") {
			close(shown)
		}
	}
	a.out = out
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, a, []string{"demo", "--keys", "3000", "--http-addr", "127.0.0.1:0"}) }()
	select {
	case <-shown:
	case code := <-ended:
		t.Fatalf("the demo ended with %d\n%s%s", code, out, errs)
	}

	export := regexp.MustCompile(`export FIRESCAN_ADDR=(\S+) FIRESCAN_ORG=(\S+) FIRESCAN_TOKEN=(\S+)`).FindStringSubmatch(out.String())
	if export == nil {
		t.Fatalf("no token was printed:\n%s", out)
	}
	c, err := newClient(export[1], export[3], export[2], "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.http.CloseIdleConnections()
	var stats apiclient.StorageStats
	if err := c.call(t.Context(), http.MethodGet, "/api/v1/storage/stats", nil, &stats); err != nil || stats.Totals.TotalFiles != 3000 {
		t.Errorf("%+v, %v", stats, err)
	}
	// The paths in the curl lines are valid.
	paths := regexp.MustCompile(`\$FIRESCAN_ADDR(/[^"]+)"`).FindAllStringSubmatch(out.String(), -1)
	if len(paths) != 3 {
		t.Errorf("%d curl lines:\n%s", len(paths), out)
	}
	for _, p := range paths {
		if _, err := c.raw(t.Context(), http.MethodGet, p[1], nil); err != nil {
			t.Errorf("%s: %v", p[1], err)
		}
	}

	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDemoTakesAnotherPort starts a node of the demo while its default port is in use.
func TestDemoTakesAnotherPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, anyPort := range []bool{true, false} {
		c := node.DefaultConfig()
		c.NodeID, c.DataDir, c.ClusterAddr, c.HTTPAddr = "demo-1", t.TempDir(), "127.0.0.1:0", taken.Addr().String()
		c.Logger = slog.New(slog.DiscardHandler)
		n, err := (&demo{addr: c.HTTPAddr, anyPort: anyPort}).start(&c)
		if anyPort != (err == nil) {
			t.Errorf("with any port %t: %v", anyPort, err)
		}
		if err == nil {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// onWrite is a buffer for concurrent use that calls do after each write.
type onWrite struct {
	do func()

	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *onWrite) Write(p []byte) (int, error) {
	w.mu.Lock()
	n, err := w.buf.Write(p)
	w.mu.Unlock()
	w.do()
	return n, err
}

func (w *onWrite) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}
