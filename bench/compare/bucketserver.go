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
		said, err := os.ReadFile(output)
		if err == nil && bytes.HasSuffix(said, []byte("\n")) && bytes.HasPrefix(said, []byte("http")) {
			return &server{d, strings.TrimSpace(string(said))}, nil
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

// tally is what the server has done and taken so far.
type tally struct {
	requests, lists, keys uint64
	cpu                   time.Duration
}

func (s *server) tally(ctx context.Context) (tally, error) {
	var c struct{ Requests, Lists, Keys uint64 }
	if err := getJSON(ctx, s.endpoint+"/-/counts", nil, &c); err != nil {
		return tally{}, err
	}
	user, sys, err := cpuOf(s.daemon.pid())
	return tally{c.Requests, c.Lists, c.Keys, user + sys}, err
}

func (t tally) since(before tally) tally {
	return tally{t.requests - before.requests, t.lists - before.lists, t.keys - before.keys, t.cpu - before.cpu}
}

// look is how often the server's counts are asked for while a scan runs.
const look = 10 * time.Millisecond

// lastList looks at the server until ctx ends, and answers when it was last seen to have
// answered another list.
func (s *server) lastList(ctx context.Context) (last time.Time) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for lists := uint64(0); ; {
		if t, err := s.tally(ctx); err == nil && t.lists != lists {
			lists, last = t.lists, time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}

// served waits until the server has sent so many keys.
func (s *server) served(ctx context.Context, keys uint64) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for sent := uint64(0); ; {
		t, err := s.tally(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("wait until the bucket's server has sent %d keys (it has sent %d): %w", keys, sent, context.Cause(ctx))
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
