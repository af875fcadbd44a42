package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member is a cluster of one with its catalog.
type member struct {
	*Cluster
	catalog  *catalog.Catalog
	registry *prometheus.Registry
}

func start(t *testing.T, dir string) *member {
	t.Helper()
	registry := prometheus.NewRegistry()
	logger := slog.New(slog.DiscardHandler)
	cat, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{Logger: logger, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(Config{ID: "n1", Dir: filepath.Join(dir, "raft"), Catalog: cat, Logger: logger, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{c, cat, registry}
	t.Cleanup(m.shut)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) shut() {
	if m.Cluster != nil {
		_ = m.Cluster.Close()
		_ = m.catalog.Close()
		m.Cluster = nil
	}
}

func project(i int) proto.Message {
	return &pb.PutRecords{Org: "org", Records: []*pb.Record{{Kind: &pb.Record_Project{Project: &pb.Project{
		Org: "org", Id: fmt.Sprint("p", i), Name: "Project",
	}}}}}
}

func (m *member) projects(t *testing.T) int {
	t.Helper()
	n := 0
	if err := m.catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.Projects("org")
		n = len(all)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWritesAreReadAndSurvive(t *testing.T) {
	dir := t.TempDir()
	m := start(t, dir)
	const proposers, each = 64, 20
	var all sync.WaitGroup
	for p := range proposers {
		all.Go(func() {
			for i := range each {
				if _, err := m.Propose(t.Context(), project(p*each+i)); err != nil {
					t.Error(err)
					return
				}
				if err := m.Barrier(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if err := m.catalog.View(func(tx *catalog.Tx) error {
					_, err := tx.Project("org", fmt.Sprint("p", p*each+i))
					return err
				}); err != nil {
					t.Errorf("a write that was answered is not read: %v", err)
				}
			}
		})
	}
	all.Wait()
	if id, ok := m.Leader(); !ok || id != "n1" || m.Ready() != nil {
		t.Errorf("leader %q, %v", id, ok)
	}
	m.shut()
	m = start(t, dir)
	if err := m.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := m.projects(t); n != proposers*each {
		t.Fatalf("%d projects after a restart, want %d", n, proposers*each)
	}
}

func TestRefusalsReachTheProposer(t *testing.T) {
	m := start(t, t.TempDir())
	_, err := m.Propose(t.Context(), &pb.DeleteDestination{Org: "org", Id: "storage_none"})
	if !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("deleting what is not there: %v, want not found", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Propose(ctx, project(1)); err == nil {
		t.Error("a cancelled proposal was answered")
	}
	m.Cluster.stop(ErrClosed)
	m.Cluster.work.Wait()
	if _, err := m.Propose(t.Context(), project(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v, want ErrClosed", err)
	}
	if err := m.Barrier(t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(m.Ready(), ErrNoLeader) {
		t.Errorf("after the end: barrier %v, ready %v", err, m.Ready())
	}
}

func TestLeadEndsWithTheTerm(t *testing.T) {
	m := start(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	began, ended := make(chan struct{}), make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Lead(ctx, func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil
		})
	}()
	<-began
	m.Cluster.stop(ErrClosed)
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("the leader's work ended with %v, want ErrClosed", err)
	}
	cancel()
	<-done
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

// TestSnapshotReachesAFollower sends a snapshot as raft does, through the stores of
// two nodes, while the sender goes on.
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
		t.Fatal("the node goes on after a command that it does not know")
	}
	if _, err := m.Propose(t.Context(), project(1)); err == nil {
		t.Error("a command was answered after the state machine had stopped")
	}
	if n := m.projects(t); n != 0 {
		t.Errorf("%d projects were stored after the state machine had stopped", n)
	}
}

func TestRaftsLogGoesToSlog(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
	l.Named("raft").With("peer", "n2").Warn("lost", "index", 7)
	l.Info("chatter")
	if s := out.String(); !strings.Contains(s, "level=WARN msg=lost part=raft peer=n2 index=7") || strings.Contains(s, "chatter") {
		t.Errorf("logged %q", s)
	}
}

func TestMetricsOfTwoNodes(t *testing.T) {
	for range 2 {
		m := start(t, t.TempDir())
		if err := m.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := m.registry.Gather(); err != nil {
			t.Error(err)
		}
		if m.raft.State() != raft.Leader {
			t.Error("not leading")
		}
	}
}

func BenchmarkBarrier(b *testing.B) {
	dir := b.TempDir()
	logger := slog.New(slog.DiscardHandler)
	cat, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{Logger: logger, Registerer: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	defer cat.Close()
	c, err := Open(Config{ID: "n1", Dir: dir, Catalog: cat, Logger: logger, Registerer: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.Barrier(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
