package catalogtest_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
)

const (
	org    = "org1"
	destID = "storage_1"
)

// project returns a command that any catalog accepts.
func project(id string) proto.Message {
	return &pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Project{Project: &pb.Project{Id: id}}}}}
}

func TestNodesApplyTheSameEntries(t *testing.T) {
	log := catalogtest.New(t, catalog.Options{}, "a", "b", "c")
	log.Put(catalogtest.Destination(org, destID, "bucket"))
	a, b, c := log.Node("a"), log.Node("b"), log.Node("c")
	b.Stop()
	c.Pause()
	log.PutBackups(org, destID, "x.backup", "y.backup")
	if got := []uint64{a.Catalog.AppliedIndex(), b.Catalog.AppliedIndex(), c.Catalog.AppliedIndex()}; got[0] != 2 || got[1] != 1 || got[2] != 1 {
		t.Fatalf("applied %v, want 2, and 1 on the nodes that do not run", got)
	}
	if _, err := b.Propose(t.Context(), project("p")); !errors.Is(err, catalogtest.ErrStopped) {
		t.Errorf("a stopped node proposes: %v", err)
	}
	if _, err := c.Propose(t.Context(), project("p")); err != nil {
		t.Error(err)
	}
	b.Restart()
	c.Wipe()
	log.Join("d")
	id := log.StartSync(org, destID)
	log.Must(&pb.FinishSync{SyncId: id, Status: catalog.SyncCancelled, At: 1})
	if s := log.WaitSync(org, id); s.GetStatus() != catalog.SyncCancelled {
		t.Errorf("the sync is %v", s)
	}
	for _, n := range log.Nodes() {
		if n.Catalog.AppliedIndex() != log.LastIndex() {
			t.Errorf("node %s has applied %d of %d entries", n.ID, n.Catalog.AppliedIndex(), log.LastIndex())
		}
	}
	if term := log.Elect(b); term != 2 || !b.IsLeader() || a.IsLeader() {
		t.Errorf("after an election: term %d, b leads: %v", term, b.IsLeader())
	}
}

func TestHooks(t *testing.T) {
	log := catalogtest.New(t, catalog.Options{}, "a")
	n := log.Node("a")
	lost := errors.New("lost")
	log.SetHook(func(ctx context.Context, p *catalogtest.Proposal, commit func() error) error {
		switch p.Commands[0].(type) {
		case *pb.DeleteRecords:
			return errors.New("refused")
		case *pb.PutRecords:
			if err := commit(); err != nil {
				return err
			}
			return lost
		case *pb.PutToken:
			<-ctx.Done()
			return ctx.Err()
		}
		return commit()
	})
	if _, err := n.Propose(t.Context(), &pb.DeleteRecords{Org: org, Kind: catalog.KindProject, Ids: []string{"p"}}); err == nil || log.LastIndex() != 0 {
		t.Errorf("a refused proposal: %v, %d entries", err, log.LastIndex())
	}
	if _, err := n.ProposeAll(t.Context(), []proto.Message{project("p"), project("q")}); !errors.Is(err, lost) || log.LastIndex() != 2 {
		t.Errorf("a proposal whose result is lost: %v, %d entries", err, log.LastIndex())
	}
	held, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Propose(held, &pb.PutToken{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a held proposal ends with %v", err)
	}
	log.SetHook(nil)
	log.Fail(lost)
	if err := n.Barrier(t.Context()); !errors.Is(err, lost) {
		t.Errorf("a barrier of a failed log: %v", err)
	}
	log.Fail(nil)
	once := &pb.Once{Org: org, Key: "k", Fingerprint: []byte("f"), At: 1}
	for range 2 {
		if _, err := n.ProposeOnce(t.Context(), project("r"), once); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.Propose(t.Context(), &pb.DeleteDestination{Org: org, Id: "none"}); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a refused command: %v", err)
	}
	if n := len(catalogtest.Read(log, func(tx *catalog.Tx) ([]*pb.Project, error) { return tx.Projects(org) })); n != 3 {
		t.Errorf("%d projects, want 3", n)
	}
}
