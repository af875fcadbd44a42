package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"firescan/bench/bucketserver"
)

const bucketName = "bench-bucket"

// server is a running bucket server.
type server struct {
	daemon   *daemon
	endpoint string
}

func startServer(ctx context.Context, program string, layout bucketserver.Layout, n uint64, latency time.Duration) (*server, error) {
	output := filepath.Join(filepath.Dir(program), "bucketserver.out")
	d, err := startDaemon([]string{
		program, "-layout", string(layout), "-keys", strconv.FormatUint(n, 10),
		"-latency", latency.String(), "-bucket", bucketName,
	}, nil, output)
	if err != nil {
		return nil, err
	}
	for {
		text, err := os.ReadFile(output)
		if err == nil && bytes.HasSuffix(text, []byte("\n")) && bytes.HasPrefix(text, []byte("http")) {
			return &server{d, strings.TrimSpace(string(text))}, nil
		}
		if err := d.failed(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			d.stop()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// counters are the totals of a bucket server since its start.
type counters struct {
	requests, lists, keys uint64
	cpu                   time.Duration
}

func (s *server) counters(ctx context.Context) (counters, error) {
	var c struct{ Requests, Lists, Keys uint64 }
	if err := getJSON(ctx, s.endpoint+"/-/counts", nil, &c); err != nil {
		return counters{}, err
	}
	user, sys, err := processCPU(s.daemon.pid())
	return counters{c.Requests, c.Lists, c.Keys, user + sys}, err
}

func (t counters) since(before counters) counters {
	return counters{t.requests - before.requests, t.lists - before.lists, t.keys - before.keys, t.cpu - before.cpu}
}

// pollInterval is the interval at which servers and nodes are polled.
const pollInterval = 10 * time.Millisecond

// watchLastList polls the server until ctx ends. It returns the time at which the number
// of lists was last seen to grow.
func (s *server) watchLastList(ctx context.Context) (last time.Time) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for lists := uint64(0); ; {
		if t, err := s.counters(ctx); err == nil && t.lists != lists {
			lists, last = t.lists, time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}

// waitKeysSent waits until the server has sent the given number of keys in total.
func (s *server) waitKeysSent(ctx context.Context, keys uint64) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for sent := uint64(0); ; {
		t, err := s.counters(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the bucket server to send %d keys: %d sent: %w", keys, sent, context.Cause(ctx))
		}
		if sent = t.keys; err != nil || sent >= keys {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
