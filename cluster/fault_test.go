package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// fullMachine has no room for the first batches.
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

func TestFullDiskWaitsForRoom(t *testing.T) {
	m := &fullMachine{refuse: 1}
	fatal := make(chan error, 1)
	f := &fsm{catalog: m, logger: slog.New(slog.DiscardHandler), fatal: fatal, closing: t.Context().Done()}
	answers := f.ApplyBatch([]*raft.Log{{Index: 1, Type: raft.LogCommand}, {Index: 2, Type: raft.LogConfiguration}})
	if r, ok := answers[0].(*pb.Result); !ok || r.Code != "" || m.calls != 2 || f.full.Load() {
		t.Errorf("answered %v after %d calls", answers, m.calls)
	}
	if len(fatal) != 0 {
		t.Error("a full disk stopped the node")
	}
}

func TestFullDiskDoesNotHoldTheNodeBack(t *testing.T) {
	closing := make(chan struct{})
	close(closing)
	f := &fsm{catalog: &fullMachine{refuse: 1 << 30}, logger: slog.New(slog.DiscardHandler), fatal: make(chan error, 1), closing: closing}
	answers := f.ApplyBatch([]*raft.Log{{Index: 1, Type: raft.LogCommand}})
	if err, ok := answers[0].(error); !ok || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("answered %v, want that the disk is full", answers)
	}
	// The log must not be compacted over what was never applied.
	if _, err := f.Snapshot(); !errors.Is(err, errStopped) {
		t.Errorf("a snapshot of a stopped machine: %v", err)
	}
}

func open(t *testing.T, id, dir string) (*catalog.Catalog, *Cluster, error) {
	t.Helper()
	logger, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	cat, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{Logger: logger, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cat.Close() })
	c, err := Open(Config{ID: id, Dir: filepath.Join(dir, "raft"), Catalog: cat, Logger: logger, Registerer: registry})
	return cat, c, err
}

func TestLostLogIsTold(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir)
	if _, err := m.Propose(t.Context(), project(1)); err != nil {
		t.Fatal(err)
	}
	m.shut()
	if err := os.RemoveAll(filepath.Join(dir, "raft")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := open(t, "n1", dir); err == nil || !strings.Contains(err.Error(), "put back the log") {
		t.Errorf("a catalog without its log: %v", err)
	}
}

func TestForeignNodeIsTold(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).shut()
	if _, _, err := open(t, "n2", dir); err == nil || !strings.Contains(err.Error(), "n1") {
		t.Errorf("a node that its log does not know: %v", err)
	}
}

func TestMembers(t *testing.T) {
	m := start(t, t.TempDir())
	if err := m.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := m.Members(t.Context())
	if err != nil || len(all) != 1 || all[0] != (Member{ID: "n1", Voter: true, Leader: true, State: StateAlive, AppliedIndex: all[0].AppliedIndex}) {
		t.Errorf("members %+v, %v", all, err)
	}
}

// TestReceivedSnapshotSurvives stops a node between the moment when a snapshot has
// been received and the moment when it is restored.
func TestReceivedSnapshotSurvives(t *testing.T) {
	from := start(t, t.TempDir())
	for i := range 5 {
		if _, err := from.Propose(t.Context(), project(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	metas, err := from.fsm.snapshots.List()
	if err != nil {
		t.Fatal(err)
	}
	meta, content, err := from.fsm.snapshots.Open(metas[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	data, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	for _, whole := range []bool{true, false} {
		dir := t.TempDir()
		cat, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer cat.Close()
		store, err := openSnapshots(dir, cat)
		if err != nil {
			t.Fatal(err)
		}
		sink, err := store.Create(1, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
		if err != nil {
			t.Fatal(err)
		}
		send := data
		if !whole {
			send = data[:len(data)/2]
		}
		if _, err := sink.Write(send); err != nil {
			t.Fatal(err)
		}
		if whole {
			if err := sink.Close(); err != nil {
				t.Fatal(err)
			}
		}
		// The node starts again.
		if _, err := openSnapshots(dir, cat); err != nil {
			t.Fatal(err)
		}
		want := 0
		if whole {
			want = 5
		}
		if n := (&member{catalog: cat}).projects(t); n != want {
			t.Errorf("received whole %v: %d projects after a restart, want %d", whole, n, want)
		}
		left, err := filepath.Glob(filepath.Join(dir, "snapshot.[ra]*"))
		if err != nil || len(left) != 0 {
			t.Errorf("left behind %v, %v", left, err)
		}
	}
}
