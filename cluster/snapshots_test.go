package cluster

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
)

// TestSnapshotReachesAFollower sends a snapshot as Raft does, through the stores of two
// nodes, while the sender continues to apply commands.
func TestSnapshotReachesAFollower(t *testing.T) {
	from := start(t, t.TempDir())
	for i := range 20 {
		if _, err := from.Propose(t.Context(), project(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	metas, err := from.fsm.snapshots.List()
	if err != nil || len(metas) != 1 {
		t.Fatal(metas, err)
	}
	if _, err := from.Propose(t.Context(), project(20)); err != nil {
		t.Fatal(err)
	}
	meta, content, err := from.fsm.snapshots.Open(metas[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()

	dir := t.TempDir()
	cat, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	defer cat.Close()
	store, err := openSnapshots(dir, cat)
	if err != nil {
		t.Fatal(err)
	}
	to := &fsm{catalog: cat, snapshots: store, logger: slog.New(slog.DiscardHandler), fatal: make(chan error, 1)}
	sink, err := store.Create(1, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	if _, err := sent.ReadFrom(content); err != nil {
		t.Fatal(err)
	}
	if int64(sent.Len()) != meta.Size {
		t.Fatalf("sent %d bytes, announced %d", sent.Len(), meta.Size)
	}
	if _, err := sent.WriteTo(sink); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	_, received, err := store.Open(sink.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Restore(received); err != nil {
		t.Fatal(err)
	}
	if n := (&member{catalog: cat}).projects(t); n != 21 || cat.AppliedIndex() < meta.Index {
		t.Fatalf("%d projects at index %d, want 21 at %d or later", n, cat.AppliedIndex(), meta.Index)
	}
	if again, err := store.List(); err != nil || len(again) != 1 || again[0].Index != meta.Index {
		t.Fatalf("metadata of the follower: %v, %v", again, err)
	}
}

// TestReceivedSnapshotSurvives stops a node after it received a snapshot and before it has
// restored it.
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
			t.Errorf("received completely %v: %d projects after a restart, want %d", whole, n, want)
		}
		left, err := filepath.Glob(filepath.Join(dir, "snapshot.[ra]*"))
		if err != nil || len(left) != 0 {
			t.Errorf("files left: %v, %v", left, err)
		}
	}
}

// TestSnapshotIsInstalled starts a follower that is too far behind for the log.
func TestSnapshotIsInstalled(t *testing.T) {
	r := newRig(t)
	r.segment = 4 << 10
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	behind := followers[0]
	behind.kill()
	var writes sync.WaitGroup
	for i := range 200 {
		writes.Go(func() { leader.put(i) })
	}
	writes.Wait()
	// Neither of the others has older entries when it comes back.
	for _, n := range []*node{leader, followers[1]} {
		few := n.raft.ReloadableConfig()
		few.TrailingLogs = 1
		if err := errors.Join(n.Barrier(t.Context()), n.raft.ReloadConfig(few), n.raft.Snapshot().Error()); err != nil {
			t.Fatal(err)
		}
	}
	// Entries after the snapshot's metadata are in the copy of the catalog.
	leader.put(200)
	behind.start().ready()
	behind.has(0)
	behind.has(200)
	if metas, err := behind.fsm.snapshots.List(); err != nil || len(metas) == 0 {
		t.Fatalf("it received no snapshot: %v", err)
	}
	// It starts again, even if its log is behind its catalog.
	behind.kill()
	behind.start().ready()
	behind.has(200)

	// A new node receives a snapshot, too.
	fresh := r.node("n4").start()
	fresh.ready()
	fresh.has(200)
	leader.voters("n1", "n2", "n3", "n4")
	if s := fresh.raft.State(); s != raft.Follower {
		t.Errorf("its state is %v", s)
	}
}

func TestCompactedLogRestarts(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir)
	for i := range 50 {
		if _, err := m.Propose(t.Context(), project(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Propose(t.Context(), project(50)); err != nil {
		t.Fatal(err)
	}
	m.shut()
	m = start(t, dir)
	if err := m.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := m.projects(t); n != 51 {
		t.Fatalf("%d projects, want 51", n)
	}
}
