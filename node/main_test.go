package node

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testConfig(t *testing.T) Config {
	t.Helper()
	c := DefaultConfig()
	c.NodeID, c.DataDir, c.HTTPAddr = "n1", t.TempDir(), "127.0.0.1:0"
	c.ClusterAddr, c.GossipAddr = "127.0.0.1:0", "127.0.0.1:0"
	return c
}

// running is a node that runs, and how it ended.
type running struct {
	*Node
	stop context.CancelFunc
	done chan error
}

// run starts a node, as it is made or changed before, and waits until it serves. It is
// stopped at the end of the test.
func run(t *testing.T, c Config, change ...func(*Node)) *running {
	t.Helper()
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range change {
		do(n)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{n, stop, make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	t.Cleanup(func() { r.end(t) })
	for n.Ready() != nil {
		select {
		case err := <-r.done:
			r.done <- err
			t.Fatalf("the node ended before it served: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return r
}

// end stops the node; it may be called twice.
func (r *running) end(t *testing.T) {
	t.Helper()
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	if err := <-r.done; err != nil {
		t.Errorf("the node ended with %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("close the node: %v", err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
