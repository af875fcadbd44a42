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

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

func TestMain(m *testing.M) {
	// A probe of memberlist that is in progress at its shutdown ends with its own timeouts,
	// which may be after goleak has given up.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).sendPingAndWaitForAck"))
}

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

func TestWritesAreVisibleAndDurable(t *testing.T) {
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
					t.Errorf("a write with a result is not visible: %v", err)
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
		t.Errorf("deleting an unknown destination: %v, want not found", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Propose(ctx, project(1)); err == nil {
		t.Error("a canceled proposal returned no error")
	}
	m.Cluster.stop(ErrClosed)
	m.Cluster.work.Wait()
	if _, err := m.Propose(t.Context(), project(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("propose after Close: %v, want ErrClosed", err)
	}
	if err := m.Barrier(t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(m.Ready(), ErrNoLeader) {
		t.Errorf("after Close: barrier %v, ready %v", err, m.Ready())
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

func TestRaftLogsToSlog(t *testing.T) {
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
