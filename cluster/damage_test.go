package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const damagedKey = "backups/needed.backup"

// needed stores a destination and records of which one names damagedKey.
func (n *node) needed() {
	n.rig.t.Helper()
	records := &pb.PutRecords{Org: "org"}
	for i := range 50 {
		key := fmt.Sprintf("backups/%03d.backup", i)
		if i == 25 {
			key = damagedKey
		}
		records.Records = append(records.Records, &pb.Record{Kind: &pb.Record_Backup{Backup: &pb.Backup{
			Id: fmt.Sprintf("b%03d", i), StorageId: "storage_1", StoragePath: []byte(key),
		}}})
	}
	destination := &pb.Destination{Org: "org", Id: "storage_1", Name: "n", Type: catalog.TypeS3, Bucket: "bucket"}
	if _, err := n.Propose(n.rig.t.Context(), &pb.PutDestination{Create: true, Destination: destination}); err != nil {
		n.rig.t.Fatal(err)
	}
	if _, err := n.Propose(n.rig.t.Context(), records); err != nil {
		n.rig.t.Fatal(err)
	}
}

// damage flips one bit of the link of damagedKey in the file of a node that is down. The
// order of the keys stays valid, and a lookup of the key does not meet the link anymore.
func (n *node) damage() {
	n.rig.t.Helper()
	path := filepath.Join(n.dir, "catalog.db")
	data, err := os.ReadFile(path)
	if err != nil {
		n.rig.t.Fatal(err)
	}
	link, flipped := []byte("backups/needed\x00\x01"), 0
	for at := 0; ; at++ {
		next := bytes.Index(data[at:], link)
		if next < 0 {
			break
		}
		at += next
		data[at+len("backups/neede")] ^= 1 // d becomes e
		flipped++
	}
	if flipped == 0 {
		n.rig.t.Fatal("the file has no such link")
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		n.rig.t.Fatal(err)
	}
}

// begin proposes to delete keys through a node, and returns the verdict.
func (n *node) begin(id string, keys ...string) catalog.Verdict {
	n.rig.t.Helper()
	m := &pb.BeginDelete{Org: "org", DestinationId: "storage_1", Id: id, Node: n.id, At: 1, Revision: 1}
	for _, key := range keys {
		m.Paths = append(m.Paths, []byte(key))
	}
	result, err := n.Propose(n.rig.t.Context(), m)
	if err != nil {
		n.rig.t.Fatal(err)
	}
	return catalog.NewVerdict(m, result)
}

// healthy waits until a node has a sound catalog that knows that damagedKey is needed.
func (n *node) healthy() {
	n.rig.t.Helper()
	eventually(n.rig.t, n.id+" has a sound catalog", func() error {
		return errors.Join(n.catalog.Verify(n.rig.t.Context(), -1), n.Ready())
	})
}

// TestDamagedLeader: the leader's link of a needed file is damaged, so that it allows to
// delete the file. The others do not confirm it; the leader steps down and replaces its
// catalog. (Nothing compares the catalogs with the records here.)
func TestDamagedLeader(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	first, _ := r.leader(nodes...)
	first.needed()
	for _, n := range nodes {
		n.barrier()
	}
	first.kill()
	first.damage()
	first.start().ready()
	eventually(t, "the damaged node leads", func() error {
		leader, _ := r.leader(nodes...)
		if leader == first {
			return nil
		}
		return leader.raft.LeadershipTransferToServer(raftServer(first.id).ID, raftServer(first.id).Address).Error()
	})
	first.barrier()
	v := first.begin("del_1", damagedKey)
	if err := first.Confirm(t.Context(), v); !errors.Is(err, ErrDissent) {
		t.Fatalf("a damaged leader was confirmed: %v", err)
	}
	first.healthy()
	first.logs("the damaged catalog was replaced by that of another node")
	leader, followers := r.leader(nodes...)
	leader.barrier()
	// It goes on as a member: it votes, applies, and decides as the others do.
	first.put(1)
	first.has(1)
	for i, n := range append(followers, leader) {
		v := n.begin(fmt.Sprint("del_2", i), damagedKey, fmt.Sprint("orphan", i))
		if err := n.Confirm(t.Context(), v); err != nil {
			t.Errorf("%s: %v", n.id, err)
		}
		if err := n.catalog.View(func(tx *catalog.Tx) error {
			if tx.Marked("s3//bucket", []byte(damagedKey)) || !tx.Marked("s3//bucket", fmt.Append(nil, "orphan", i)) {
				t.Errorf("%s has marked the wrong file", n.id)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	first.kill()
	first.start().ready()
	first.healthy()
}

// TestDamagedFollower: one follower that differs does not keep a deletion from being
// confirmed, and replaces its catalog.
func TestDamagedFollower(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	leader.needed()
	bad := followers[0]
	for _, n := range nodes {
		n.barrier()
	}
	bad.kill()
	bad.damage()
	bad.start().ready()
	eventually(t, "another node than the damaged one leads", func() error {
		if leader, followers = r.leader(nodes...); leader != bad {
			return nil
		}
		return errors.Join(errors.New("the damaged node leads"), bad.raft.LeadershipTransfer().Error())
	})
	v := leader.begin("del_1", damagedKey, "orphan")
	if err := leader.Confirm(t.Context(), v); err != nil {
		t.Errorf("it was not confirmed: %v", err)
	}
	bad.logs("the damaged catalog was replaced by that of another node")
	bad.healthy()
}

// TestConfirmNeedsAMajority: without the voters of a majority nothing is confirmed, and a node
// that is behind is waited for.
func TestConfirmNeedsAMajority(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	leader.needed()
	v := leader.begin("del_1", "orphan")
	followers[0].barrier() // as the proposer, it must have applied the deletion
	if err := followers[0].Confirm(t.Context(), v); err != nil {
		t.Errorf("a follower: %v", err)
	}
	followers[0].kill()
	if err := leader.Confirm(t.Context(), v); err != nil {
		t.Errorf("with two of three: %v", err)
	}
	followers[1].kill()
	if err := leader.Confirm(t.Context(), v); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("with one of three: %v", err)
	}
}
