package replica

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// chaos does to a testCluster what happens to clusters, in any order, and checks
// invariants after each step.
type chaos struct {
	*testCluster
	rnd *rand.Rand
	// generation is the promoted one, running a sync that runs; empty is none.
	generation, running string
	sealed, listed      []*pb.Segment
	from                string // where the sync that runs goes on
	// calm: since all nodes were there and had replicated, no copy was destroyed. Only
	// then is one, so that no shard is lost for good.
	calm bool
}

func (m *chaos) pick(of []*testNode) *testNode { return of[m.rnd.IntN(len(of))] }

func (m *chaos) members() []*testNode {
	return slices.DeleteFunc(slices.Clone(m.nodes), func(n *testNode) bool { return n.left })
}

func (m *chaos) down() *testNode {
	at := slices.IndexFunc(m.nodes, func(n *testNode) bool { return n.down && !n.left })
	if at < 0 {
		return nil
	}
	return m.nodes[at]
}

// step does one thing and returns its name.
func (m *chaos) step() string {
	n := m.pick(m.up())
	switch what := m.rnd.IntN(24); {
	case what == 0 && m.down() == nil && len(m.up()) > 2:
		n.stop()
		return "kill " + n.id
	case what == 1 && m.down() != nil:
		m.down().restart()
		return "revive"
	case what == 2:
		n.restart()
		return "restart " + n.id
	case what == 3 && m.calm && m.down() == nil:
		m.calm = false
		n.wipe()
		return "wipe " + n.id
	case what == 4 && m.calm && m.generation != "" && m.down() == nil && n.has(destID, m.sealed) > 0:
		m.calm = false
		n.damage(destID, m.sealed[m.rnd.IntN(len(m.sealed))].Id)
		if m.rnd.IntN(2) == 0 {
			n.restart()
		}
		return "damage " + n.id
	case what == 5 && len(m.members()) < 6:
		return "join " + m.join().id
	case what == 6 && m.calm && m.down() == nil && len(m.members()) > 4:
		m.calm = false
		n.left = true
		return "leave " + n.id
	case what == 7:
		for _, n := range m.nodes {
			n.replicator.config.Grace = []time.Duration{time.Hour, time.Nanosecond}[m.rnd.IntN(2)]
		}
		return "time goes by"
	case what == 8:
		if m.down() != nil {
			m.down().update()
		}
		m.settle()
		m.calm = m.running == ""
		return "settle"
	case what == 9:
		if err := n.replicator.forgetDeparted(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
		return "forget departed nodes"
	case what < 14 && (m.running != "" || m.rnd.IntN(4) == 0):
		return m.sync(n)
	}
	n.reconcile()
	return "reconcile " + n.id
}

// sync goes on with a sync, or begins one.
func (m *chaos) sync(n *testNode) string {
	if m.running == "" {
		m.calm, m.from, m.listed = false, "", nil
		m.running = m.begin(destID)
		return "begin a sync"
	}
	if m.from != "end" {
		to := map[string]string{"": "g", "g": "n", "n": "t", "t": ""}[m.from]
		m.listed = append(m.listed, n.list(destID, m.running, m.from, to))
		if m.from = to; to == "" {
			m.from = "end"
		}
		return "list at " + n.id
	}
	h := n.ending(m.running)
	h.nodes = n.replicator.nodes(time.Now())
	n.replicator.config.Timing.Return = time.Hour
	lost, err := h.findLost(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	if len(lost) > 0 {
		m.propose(&pb.FinishSync{SyncId: m.running, Status: "failed", Error: "lost", At: time.Now().UnixMilli()})
		m.running = ""
		return "lose a sync"
	}
	holders := slices.DeleteFunc(m.holders(destID, m.running), func(id string) bool { return m.node(id).down || m.node(id).left })
	if len(holders) < 2 {
		return "wait for holders"
	}
	m.promote(m.running)
	m.generation, m.sealed, m.running = m.running, m.listed, ""
	return "promote"
}

// check checks what holds at any time.
func (m *chaos) check() {
	if m.starts > 0 {
		m.t.Fatal("a sync was started for a generation that is not lost")
	}
	if m.generation == "" {
		return
	}
	complete := 0
	for _, n := range m.members() {
		if n.has(destID, m.sealed) == len(m.sealed) {
			complete++
		}
	}
	if complete == 0 {
		m.t.Fatal("no node has the complete generation")
	}
	for _, n := range m.up() {
		files, err := n.reads(destID)
		_, corrupt := errors.AsType[*index.CorruptError](err)
		if err == nil && files != allFiles || err != nil && !errors.Is(err, index.ErrNoShard) && !corrupt {
			m.t.Fatalf("%s shows %d files: %v", n.id, files, err)
		}
	}
}

// TestCopiesUnderChaos checks that no generation is lost or served in part, and that in
// the end exactly the desired nodes hold it.
func TestCopiesUnderChaos(t *testing.T) {
	rounds, steps := 6, 120
	if testing.Short() {
		rounds, steps = 2, 60
	}
	for range rounds {
		rnd := seeded(t)
		m := chaos{testCluster: newTestCluster(t, 4), rnd: rnd}
		var done []string
		for range steps {
			done = append(done, m.step())
			if m.check(); t.Failed() {
				t.Fatalf("after %q", done)
			}
		}
		if m.down() != nil {
			m.down().update()
		}
		for _, n := range m.nodes {
			n.replicator.config.Grace = time.Hour
		}
		if m.running != "" {
			m.propose(&pb.FinishSync{SyncId: m.running, Status: "cancelled", At: time.Now().UnixMilli()})
		}
		m.settle()
		if err := m.up()[0].replicator.forgetDeparted(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.generation != "" {
			m.replicatedOn(destID, m.generation, m.sealed, m.wantedIDs(destID))
		}
		for _, n := range m.up() {
			if m.running != "" && n.has(destID, m.listed) > 0 {
				t.Errorf("%s keeps segments of a sync that failed", n.id)
			}
		}
		if t.Failed() {
			t.Fatalf("after %q", done)
		}
	}
}
