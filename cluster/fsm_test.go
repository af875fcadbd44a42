package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// fullMachine has no space for the first batches.
type fullMachine struct {
	refuse int
	calls  int
}

func (m *fullMachine) Apply(entries []catalog.Entry) ([]*pb.Result, error) {
	m.calls++
	if m.calls <= m.refuse {
		return nil, fmt.Errorf("write: %w", syscall.ENOSPC)
	}
	results := make([]*pb.Result, len(entries))
	for i := range results {
		results[i] = &pb.Result{}
	}
	return results, nil
}

func (m *fullMachine) Restore(io.Reader) error { return nil }

func TestFullDiskWaitsForSpace(t *testing.T) {
	m := &fullMachine{refuse: 1}
	fatal := make(chan error, 1)
	f := &fsm{catalog: m, logger: slog.New(slog.DiscardHandler), fatal: fatal, closing: t.Context().Done()}
	responses := f.ApplyBatch([]*raft.Log{{Index: 1, Type: raft.LogCommand}, {Index: 2, Type: raft.LogConfiguration}})
	if r, ok := responses[0].(*pb.Result); !ok || r.Code != "" || m.calls != 2 || f.full.Load() {
		t.Errorf("returned %v after %d calls", responses, m.calls)
	}
	if len(fatal) != 0 {
		t.Error("a full disk stopped the node")
	}
}

func TestFullDiskDoesNotBlockClose(t *testing.T) {
	closing := make(chan struct{})
	close(closing)
	f := &fsm{catalog: &fullMachine{refuse: 1 << 30}, logger: slog.New(slog.DiscardHandler), fatal: make(chan error, 1), closing: closing}
	responses := f.ApplyBatch([]*raft.Log{{Index: 1, Type: raft.LogCommand}})
	if err, ok := responses[0].(error); !ok || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("returned %v, want ENOSPC", responses)
	}
	// The log must keep the entries that were not applied.
	if _, err := f.Snapshot(); !errors.Is(err, errStopped) {
		t.Errorf("snapshot of a stopped state machine: %v", err)
	}
}

func TestUnknownCommandStopsTheNode(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir)
	if err := m.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(&pb.Envelope{Number: 999, Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	future := m.raft.Apply(data, time.Second)
	if err := future.Error(); err != nil {
		t.Fatal(err)
	}
	var unknown *catalog.UnknownCommandError
	select {
	case err := <-m.Fatal():
		if !errors.As(err, &unknown) || unknown.Number != 999 || !strings.Contains(err.Error(), "upgrade") {
			t.Errorf("stopped with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the node does not stop after an unknown command")
	}
	if _, err := m.Propose(t.Context(), project(1)); err == nil {
		t.Error("a command returned no error after the state machine had stopped")
	}
	if n := m.projects(t); n != 0 {
		t.Errorf("%d projects were stored after the state machine had stopped", n)
	}
}
