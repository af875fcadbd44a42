package deletion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
	"firescan/provider/mem"
)

// errCrashed is what a node that has crashed gets from everything.
var errCrashed = errors.New("the node has crashed")

// steps stand between a deleter and the world: what it asks of the log and of the bucket is
// counted, and something may happen at each of them.
type steps struct {
	inner Proposer

	one sync.Mutex // held while something happens
	mu  sync.Mutex
	n   int
	// before acts before a step; its error makes the step fail without an effect.
	before func(n int, what string) error
	// after may fail a step that was done.
	after func(n int, what string) error
	// deleted is called for each removed object, with its tag.
	deleted func(key, tag string)
}

func (s *steps) do(what string, step func() error) error {
	s.mu.Lock()
	s.n++
	n, before, after := s.n, s.before, s.after
	s.mu.Unlock()
	happen := func(hook func(int, string) error) error {
		if hook == nil {
			return nil
		}
		s.one.Lock()
		defer s.one.Unlock()
		return hook(n, what)
	}
	if err := happen(before); err != nil {
		return err
	}
	err := step()
	if lost := happen(after); lost != nil {
		return lost
	}
	return err
}

func (s *steps) set(before, after func(n int, what string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.before, s.after = 0, before, after
}

// Propose implements Proposer.
func (s *steps) Propose(ctx context.Context, m proto.Message) (r *pb.Result, err error) {
	err = s.do(strings.TrimPrefix(fmt.Sprintf("%T", m), "*catalogpb."), func() (err error) {
		r, err = s.inner.Propose(ctx, m)
		return err
	})
	return r, err
}

// steppedBucket is a bucket all calls of which are steps.
type steppedBucket struct {
	provider.Bucket
	*steps
}

func (b steppedBucket) List(ctx context.Context, req provider.ListRequest, page *provider.Page) error {
	return b.do("list", func() error { return b.Bucket.List(ctx, req, page) })
}

func (b steppedBucket) Stat(ctx context.Context, key string) (info provider.Info, err error) {
	err = b.do("stat", func() (err error) {
		info, err = b.Bucket.Stat(ctx, key)
		return err
	})
	return info, err
}

func (b steppedBucket) Delete(ctx context.Context, key, tag string) error {
	return b.do("delete", func() error {
		return b.watch(ctx, []string{key}, func() []error { return []error{b.Bucket.Delete(ctx, key, tag)} })[0]
	})
}

func (b steppedBucket) DeleteBatch(ctx context.Context, objects []provider.Deletion) (errs []error) {
	keys := make([]string, len(objects))
	for i, o := range objects {
		keys[i] = o.Key
	}
	if err := b.do("delete batch", func() error {
		errs = b.watch(ctx, keys, func() []error { return b.Bucket.DeleteBatch(ctx, objects) })
		return nil
	}); err != nil {
		return provider.ForEach(len(objects), err)
	}
	return errs
}

// watch reports which keys a delete has removed.
func (b steppedBucket) watch(ctx context.Context, keys []string, remove func() []error) []error {
	tags := map[string]string{}
	for _, key := range keys {
		if info, err := b.Bucket.Stat(ctx, key); err == nil {
			tags[key] = info.Tag
		}
	}
	errs := remove()
	for _, key := range keys {
		if _, err := b.Bucket.Stat(ctx, key); provider.KindOf(err) == provider.NotFound && tags[key] != "" && b.deleted != nil {
			b.deleted(key, tags[key])
		}
	}
	return errs
}

// deleteRig is a rig with a deleter whose every step can be openIntent.
type deleteRig struct {
	*rig
	*steps
	deleter *Deleter
	boot    int
}

func newDeleteRig(t testing.TB, opts mem.Options) *deleteRig {
	t.Helper()
	r := &deleteRig{rig: newRig(t, opts)}
	r.steps = &steps{inner: r.node}
	r.reboot()
	t.Cleanup(func() { r.deleter.Close() })
	return r
}

// reboot is what the end of one run of a node and the start of the next leave of a deleter.
func (r *deleteRig) reboot() {
	if r.deleter != nil {
		r.deleter.Close()
	}
	r.boot++
	r.deleter = New(Config{
		Node: "node1", Boot: fmt.Sprint(r.boot), Catalog: r.catalog, Proposer: r.steps, Verdicts: r.node, Buckets: steppedBuckets{r}, Shards: r.keeper, Thresholds: DefaultThresholds(),
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	// One call after the other, so that steps come in an order.
	r.deleter.limits.calls, r.deleter.limits.batches = 1, 1
}

type steppedBuckets struct{ *deleteRig }

// Open implements Buckets.
func (b steppedBuckets) Open(_ context.Context, d *pb.Destination) (provider.Bucket, error) {
	return steppedBucket{b.account.Bucket(d.Bucket), b.steps}, nil
}

func (r *deleteRig) destination(id string) (d *pb.Destination) {
	r.t.Helper()
	if err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		d, err = tx.Destination(org, id)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return d
}

// delete deletes paths and returns the outcomes by path.
func (r *deleteRig) delete(paths ...string) map[string]Outcome {
	r.t.Helper()
	req := FilesRequest{Destination: r.destination(destID), Who: "tok_1"}
	for _, p := range paths {
		req.Paths = append(req.Paths, []byte(p))
	}
	list, err := r.deleter.DeleteFiles(context.Background(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	byPath := map[string]Outcome{}
	for i, o := range list {
		if string(o.Path) != paths[i] {
			r.t.Fatalf("outcome %d is of %q, want %q", i, o.Path, paths[i])
		}
		byPath[paths[i]] = o
	}
	return byPath
}

// resolve settles all that is open, as a leader does minutes later.
func (r *deleteRig) recoverAbandoned() {
	r.t.Helper()
	r.deleter.limits.abandoned, r.deleter.limits.release = 0, 0
	if err := r.deleter.recoverAll(context.Background(), map[string]*openIntent{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *deleteRig) intents() (list []*pb.Intent) {
	r.t.Helper()
	if err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		list, err = tx.Intents()
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r *deleteRig) audit() (list []*pb.Audit) {
	r.t.Helper()
	if err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		list, err = tx.Audit(org, "", 0)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// put stores an object with the given content.
func (r *deleteRig) put(key, content string) {
	r.t.Helper()
	if err := r.account.Bucket(bucket).Put(context.Background(), key, []byte(content)); err != nil {
		r.t.Fatal(err)
	}
}

// keys lists the bucket.
func (r *deleteRig) keys(prefix string) (keys []string) {
	r.t.Helper()
	for req := (provider.ListRequest{Prefix: prefix}); ; {
		var page provider.Page
		if err := r.account.Bucket(bucket).List(context.Background(), req, &page); err != nil {
			r.t.Fatal(err)
		}
		for _, o := range page.Objects {
			keys = append(keys, string(o.Key))
		}
		if req.Start = page.Next; !page.More {
			return keys
		}
	}
}

// agree checks that the index has what the bucket has.
func (r *deleteRig) agree() {
	r.t.Helper()
	var indexed []string
	for path := range r.files() {
		indexed = append(indexed, path)
	}
	slices.Sort(indexed)
	if keys := r.keys(""); !slices.Equal(indexed, keys) {
		r.t.Errorf("the index has %q, the bucket has %q", indexed, keys)
	}
}

var old = time.Unix(1e9, 0)
