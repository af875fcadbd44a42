package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org    = "org1"
	destID = "storage_1"
	bucket = "backups-bucket"
)

// shelf is several nodes that keep copies of shards, each with its catalog and index, one
// log, and faults between them. Nothing happens by itself: a test makes each node reconcile.
type shelf struct {
	t     testing.TB
	nodes []*keeping

	mu     sync.Mutex
	log    []catalog.Entry
	starts int // of syncs, as proposed by the nodes
}

// keeping is one of its nodes.
type keeping struct {
	*shelf
	id         string
	dir        string
	catalog    *catalog.Catalog
	index      *index.Store
	replicator *Replicator
	// down: it is not there; left: it is no member; behind: its catalog stands still; mute:
	// it is thought to be there, and cannot be asked.
	down, left, mute bool
	behind           atomic.Bool
	// sees replaces what it sees of the group; nil is what there is.
	sees func() []Member
	// fetching happens before it fetches, and may fail it.
	fetching func(ctx context.Context, from, segment string) error
	fetched  []string // segment@node
}

// newShelf makes nodes that know one destination.
func newShelf(t testing.TB, nodes int) *shelf {
	t.Helper()
	s := &shelf{t: t}
	for range nodes {
		s.join()
	}
	t.Cleanup(func() {
		for _, n := range s.nodes {
			n.close()
		}
	})
	s.destination(destID)
	return s
}

func (s *shelf) destination(id string) {
	s.t.Helper()
	s.propose(&pb.PutDestination{Create: true, Destination: &pb.Destination{
		Org: org, Id: id, Name: id, Type: catalog.TypeS3, Bucket: id, Verified: true, CreatedAt: 1,
	}})
}

// join adds a node.
func (s *shelf) join() *keeping {
	s.t.Helper()
	n := &keeping{shelf: s, id: fmt.Sprintf("node%d", len(s.nodes)), dir: s.t.TempDir()}
	n.open()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = append(s.nodes, n)
	if _, err := n.catalog.Apply(s.log); err != nil && len(s.log) > 0 {
		s.t.Fatal(err)
	}
	return n
}

func (n *keeping) open() {
	n.t.Helper()
	registry := prometheus.NewRegistry()
	var err error
	if n.catalog, err = catalog.Open(filepath.Join(n.dir, "catalog.db"), catalog.Options{Registerer: registry}); err != nil {
		n.t.Fatal(err)
	}
	if n.index, err = index.Open(filepath.Join(n.dir, "index"), index.Options{Registerer: registry}); err != nil {
		n.t.Fatal(err)
	}
	n.replicator = New(Config{Node: n.id, Catalog: n.catalog, Index: n.index, Proposer: n, Peers: n, Logger: slog.New(slog.DiscardHandler)})
	n.replicator.config.Timing.Retry, n.replicator.config.Timing.MaxRetry = 0, 0
}

func (n *keeping) close() {
	n.replicator.work.Wait()
	if err := errors.Join(n.index.Close(), n.catalog.Close()); err != nil {
		n.t.Error(err)
	}
}

// restart is what a crash and a new start leave; wipe, a start on an empty disk.
func (n *keeping) restart() {
	n.t.Helper()
	n.close()
	n.open()
	n.update()
}

func (n *keeping) wipe() {
	n.t.Helper()
	n.close()
	n.dir = n.t.TempDir()
	n.open()
	n.update()
}

func (n *keeping) update() {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = false
	n.behind.Store(false)
	if rest := n.log[n.catalog.AppliedIndex():]; len(rest) > 0 {
		if _, err := n.catalog.Apply(rest); err != nil {
			n.t.Fatal(err)
		}
	}
}

// Propose implements Proposer: commands with a result are applied here.
func (n *keeping) Propose(_ context.Context, m proto.Message) (*pb.Result, error) {
	if n.behind.Load() {
		n.update()
	}
	if _, ok := m.(*pb.StartSync); ok {
		n.mu.Lock()
		n.starts++
		n.mu.Unlock()
	}
	return n.append(n, m)
}

func (s *shelf) append(by *keeping, m proto.Message) (res *pb.Result, err error) {
	data, err := catalog.Encode(m)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, catalog.Entry{Index: uint64(len(s.log) + 1), Term: 1, Data: data})
	for _, n := range s.nodes {
		if n.down || n.behind.Load() {
			continue
		}
		results, err := n.catalog.Apply(s.log[n.catalog.AppliedIndex():])
		if err != nil {
			return nil, err
		}
		if n == by {
			res = results[len(results)-1]
		}
	}
	return res, catalog.ResultError(res)
}

func (s *shelf) propose(m proto.Message) *pb.Result {
	s.t.Helper()
	res, err := s.append(s.up()[0], m)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

func (s *shelf) up() []*keeping {
	return slices.DeleteFunc(slices.Clone(s.nodes), func(n *keeping) bool { return n.down || n.left || n.behind.Load() })
}

// Members implements Replicas.
func (n *keeping) Members() (all []Member) {
	if n.sees != nil {
		return n.sees()
	}
	for _, o := range n.nodes {
		if !o.left {
			all = append(all, Member{ID: o.id, Alive: !o.down})
		}
	}
	return all
}

func (s *shelf) node(id string) *keeping {
	return s.nodes[slices.IndexFunc(s.nodes, func(n *keeping) bool { return n.id == id })]
}

// Held implements Replicas.
func (n *keeping) Held(_ context.Context, node, destination string, ids []string) ([]bool, error) {
	o := n.node(node)
	if o.down || o.mute {
		return nil, fmt.Errorf("%s does not answer", node)
	}
	held := make([]bool, len(ids))
	for i, id := range ids {
		held[i] = o.index.Has(destination, id)
	}
	return held, nil
}

// Fetch implements Replicas.
func (n *keeping) Fetch(ctx context.Context, node, destination string, s *pb.Segment) error {
	if n.fetching != nil {
		if err := n.fetching(ctx, node, s.Id); err != nil {
			return err
		}
	}
	o := n.node(node)
	if o.down || o.mute {
		return fmt.Errorf("%s does not answer", node)
	}
	f, tag, err := o.index.OpenSealed(destination, s.Id)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoSegment, err)
	}
	defer f.Close()
	in, err := n.index.Receive(destination, s.Id)
	if err == nil {
		err = in.Begin(tag)
	}
	if err == nil {
		_, err = io.Copy(in, f)
	}
	if err == nil {
		err = in.Commit(s.Checksum)
	}
	if err == nil {
		n.mu.Lock()
		n.fetched = append(n.fetched, s.Id+"@"+node)
		n.mu.Unlock()
	}
	return err
}

// look has a node look once, and waits for what that has set going.
func (n *keeping) reconcile() {
	n.t.Helper()
	if _, err := n.replicator.reconcile(n.t.Context()); err != nil {
		n.t.Errorf("%s: %v", n.id, err)
	}
	n.replicator.work.Wait()
}

// settle has all nodes look until nothing moves any more.
func (s *shelf) settle() {
	s.t.Helper()
	for range 6 {
		for _, n := range s.up() {
			n.reconcile()
		}
	}
}

// begin starts a sync.
func (s *shelf) begin(destination string) string {
	s.t.Helper()
	return s.propose(&pb.StartSync{Org: org, DestinationId: destination, SyncId: catalog.NewID(catalog.KindSync), At: 1000}).SyncId
}

// list is what a node does that lists the keys of a sync from one letter to another, both
// empty for the end of the key space: three files a letter.
func (n *keeping) list(destination, syncID, from, to string) *pb.Segment {
	n.t.Helper()
	fact := &pb.Segment{
		Id: catalog.NewSegmentID(syncID), Start: []byte(from), End: []byte(to), ClassifiedAt: n.catalog.AppliedIndex(), Node: n.id,
	}
	w, err := n.index.NewSegment(destination, fact.Id, fact.Start)
	if err != nil {
		n.t.Fatal(err)
	}
	for letter := byte('a'); letter <= 'z'; letter++ {
		for i := range 3 {
			path := fmt.Appendf(nil, "%c/%d.backup", letter, i)
			if string(path) < from || to != "" && string(path) >= to {
				continue
			}
			if err := w.Add(&index.Entry{Path: path, Size: 1, ModTime: 1}); err != nil {
				n.t.Fatal(err)
			}
		}
	}
	info, err := w.Seal(fact.End, fact.ClassifiedAt)
	if err != nil {
		n.t.Fatal(err)
	}
	fact.Files, fact.Bytes, fact.Orphans = info.Stats.Files(), info.Stats.Bytes(), info.Stats.OrphanFiles()
	fact.Checksum, fact.FileSize = info.Checksum, uint64(info.FileSize)
	n.propose(&pb.SealSegments{SyncId: syncID, Segments: []*pb.Segment{fact}})
	return fact
}

// allFiles is how many files a sync lists.
const allFiles = 26 * 3

// scan begins a sync and has nodes list it all, in turns.
func (s *shelf) scan(destination string, by ...*keeping) (id string, sealed []*pb.Segment) {
	s.t.Helper()
	id = s.begin(destination)
	from := ""
	for i, to := range []string{"c", "f", "i", "m", "q", "u", ""} {
		sealed = append(sealed, by[i%len(by)].list(destination, id, from, to))
		from = to
	}
	return id, sealed
}

func (s *shelf) promote(id string) {
	s.t.Helper()
	s.propose(&pb.PromoteSync{SyncId: id, At: 2000})
}

// holders are the nodes that are said to hold a result.
func (s *shelf) holders(destination, id string) (nodes []string) {
	s.t.Helper()
	if err := s.up()[0].catalog.View(func(tx *catalog.Tx) error {
		held, err := tx.Holders(destination)
		for _, h := range held {
			if h.Generation == id {
				nodes = append(nodes, h.Node)
			}
		}
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return nodes
}

// has counts the segments that a node has.
func (n *keeping) has(destination string, sealed []*pb.Segment) (count int) {
	for _, s := range sealed {
		if n.index.Has(destination, s.Id) {
			count++
		}
	}
	return count
}

// reads counts the files that a reader of a node's shard is shown.
func (n *keeping) reads(destination string) (files int, err error) {
	v, err := n.replicator.View(n.t.Context(), destination)
	if err != nil {
		return 0, err
	}
	defer v.Release()
	_, _, err = v.Query(index.Query{}, func(*index.Entry) bool { files++; return true })
	return files, err
}

// desired are the nodes that are to hold a shard when all are there.
func (s *shelf) desired(destination string) (nodes []*keeping) {
	for _, id := range s.wantedIDs(destination) {
		nodes = append(nodes, s.node(id))
	}
	return nodes
}

func (s *shelf) wantedIDs(destination string) []string {
	var ids []string
	for _, n := range s.nodes {
		if !n.left && !n.down {
			ids = append(ids, n.id)
		}
	}
	return placement(destination, ids)
}

// unwanted are the others.
func (s *shelf) unwanted(destination string) []*keeping {
	desired := s.desired(destination)
	return slices.DeleteFunc(s.up(), func(n *keeping) bool { return slices.Contains(desired, n) })
}

// replicatedOn checks that exactly these nodes hold a generation, report it, and serve it.
func (s *shelf) replicatedOn(destination, id string, sealed []*pb.Segment, want []string) {
	s.t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := s.holders(destination, id); !slices.Equal(got, want) {
		s.t.Errorf("held by %v, want %v", got, want)
	}
	for _, n := range s.up() {
		desired := slices.Contains(want, n.id)
		switch files, err := n.reads(destination); {
		case desired && (err != nil || files != allFiles):
			s.t.Errorf("%s serves %d files: %v", n.id, files, err)
		case !desired && !errors.Is(err, index.ErrNoShard):
			s.t.Errorf("%s is not to hold it, and serves %d files: %v", n.id, files, err)
		}
		if has := n.has(destination, sealed); has > 0 != desired {
			s.t.Errorf("%s has %d of %d segments", n.id, has, len(sealed))
		}
	}
}

// seeded makes the randomness of a test, and tells its seed when the test fails.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}
