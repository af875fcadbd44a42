package catalogtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// waitMost is how long Wait waits before it fails the test.
const waitMost = 30 * time.Second

// Destination returns an S3 destination for a whole bucket.
func Destination(org, id, bucket string) *pb.Destination {
	return &pb.Destination{Org: org, Id: id, Name: "Production", Type: catalog.TypeS3, Bucket: bucket, Verified: true, CreatedAt: 1}
}

// Backup returns the record of a completed backup with one file.
func Backup(org, destID, id, path string) *pb.Record {
	return &pb.Record{Kind: &pb.Record_Backup{Backup: &pb.Backup{
		Org: org, Id: id, StorageId: destID, Status: "completed", StoragePath: []byte(path), CreatedAt: 1,
	}}}
}

// Must proposes a command on a running node, past the hook, and fails the test when the
// command fails, is refused or has rejections.
func (l *Log) Must(m proto.Message) *pb.Result {
	l.tb.Helper()
	p := &Proposal{Node: l.current(), Commands: []proto.Message{m}}
	if err := l.commit(p); err != nil {
		l.tb.Fatal(err)
	}
	r := p.Results[0]
	if err := catalog.ResultError(r); err != nil || len(r.GetRejected()) > 0 {
		l.tb.Fatalf("%T: %v, rejected: %v", m, err, r.GetRejected())
	}
	return r
}

// Put creates a destination.
func (l *Log) Put(d *pb.Destination) {
	l.tb.Helper()
	l.Must(&pb.PutDestination{Create: true, Destination: d})
}

// PutBackups stores one backup record per path, with the ids "bkp_PATH_POSITION".
func (l *Log) PutBackups(org, destID string, paths ...string) {
	l.tb.Helper()
	n := 0
	for chunk := range slices.Chunk(paths, 1000) {
		cmd := &pb.PutRecords{Org: org}
		for _, path := range chunk {
			cmd.Records = append(cmd.Records, Backup(org, destID, fmt.Sprintf("bkp_%s_%d", path, n), path))
			n++
		}
		l.Must(cmd)
	}
}

// PutToken stores the token "tok_ROLE" and returns its secret text. Tokens of some
// roles belong to no organization.
func (l *Log) PutToken(org string, role catalog.Role) (plain string) {
	l.tb.Helper()
	if !role.OfOrganization() {
		org = ""
	}
	plain = catalog.NewToken()
	l.Must(&pb.PutToken{Token: &pb.Token{
		Id: "tok_" + string(role), Hash: catalog.HashToken(plain), Org: org, Role: string(role), Name: "test", CreatedAt: 1,
	}})
	return plain
}

// StartSync starts a sync of a destination and returns its id.
func (l *Log) StartSync(org, destID string) string {
	l.tb.Helper()
	return l.Must(&pb.StartSync{
		Org: org, DestinationId: destID, SyncId: catalog.NewID(catalog.KindSync), At: time.Now().UnixMilli(),
	}).GetSyncId()
}

// Sync returns a sync.
func (l *Log) Sync(org, id string) *pb.Sync {
	l.tb.Helper()
	return Read(l, func(tx *catalog.Tx) (*pb.Sync, error) { return tx.Sync(org, id) })
}

// WaitSync waits for the end of a sync.
func (l *Log) WaitSync(org, id string) (s *pb.Sync) {
	l.tb.Helper()
	l.Wait("the end of sync "+id, func() bool {
		s = l.Sync(org, id)
		return s.GetFinishedAt() != 0
	})
	return s
}

// Wait calls done after each entry until it returns true, and fails the test when that
// takes half a minute. what names in a message what is waited for.
func (l *Log) Wait(what string, done func() bool) {
	l.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitMost)
	defer cancel()
	for {
		l.mu.Lock()
		changed := l.changed.Wait()
		l.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			l.tb.Fatalf("waited %s in vain for %s", waitMost, what)
		}
	}
}

// Read reads the catalog of a node that has applied all entries, and fails the test on an
// error. No entry is applied meanwhile, so fn must not propose.
func Read[T any](l *Log, fn func(*catalog.Tx) (T, error)) (value T) {
	l.tb.Helper()
	n := l.current()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := n.Catalog.View(func(tx *catalog.Tx) (err error) {
		value, err = fn(tx)
		return err
	}); err != nil {
		l.tb.Fatal(err)
	}
	return value
}

// current returns the first node that is neither stopped nor paused.
func (l *Log) current() *Node {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.nodes, func(n *Node) bool { return !n.stopped && !n.paused })
	if i < 0 {
		l.tb.Fatal("all nodes are stopped or paused")
	}
	return l.nodes[i]
}
