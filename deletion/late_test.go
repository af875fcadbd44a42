package deletion

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
	"firescan/provider/mem"
)

// A lateBucket is a bucket behind a server that cuts the connection of the first call to
// delete each object, and applies that call only when act is called.
type lateBucket struct {
	provider.Bucket

	mu   sync.Mutex
	held map[string]provider.Deletion
}

// Unwrap returns the bucket inside; see provider.As.
func (b *lateBucket) Unwrap() provider.Bucket { return b.Bucket }

func (b *lateBucket) hold(objects ...provider.Deletion) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	cut := false
	for _, o := range objects {
		if _, again := b.held[o.Key]; !again {
			b.held[o.Key], cut = o, true
		}
	}
	if cut {
		return &provider.Error{Kind: provider.Unavailable, Op: "delete", Reason: "the connection was cut"}
	}
	return nil
}

func (b *lateBucket) Delete(ctx context.Context, key, tag string) error {
	if err := b.hold(provider.Deletion{Key: key, Tag: tag}); err != nil {
		return err
	}
	return b.Bucket.Delete(ctx, key, tag)
}

func (b *lateBucket) DeleteBatch(ctx context.Context, objects []provider.Deletion) []error {
	if err := b.hold(objects...); err != nil {
		return provider.ForEach(len(objects), err)
	}
	return b.Bucket.DeleteBatch(ctx, objects)
}

// act applies the first calls.
func (b *lateBucket) act() {
	for key, o := range b.held {
		_ = b.Bucket.Delete(context.Background(), key, o.Tag)
	}
}

// Open implements Buckets with the retries that buckets have in production.
func (b *lateBucket) Open(context.Context, *pb.Destination) (provider.Bucket, error) {
	return provider.Retry(b, provider.RetryOptions{Base: time.Microsecond}), nil
}

// TestLateDelete: a retry was confirmed, and then the first call, of which the connection
// was cut, deletes a newer object. No record may need that object.
func TestLateDelete(t *testing.T) {
	ctx := context.Background()
	ways := map[string]func(r *deleteRig) error{
		"files": func(r *deleteRig) error {
			outcomes, err := r.deleter.DeleteFiles(ctx, FilesRequest{Destination: r.destination(destID), Paths: [][]byte{[]byte("a.backup")}})
			if err == nil && !outcomes[0].Deleted {
				err = outcomes[0].Err
			}
			return err
		},
		"backups": func(r *deleteRig) error {
			r.backup("bkp", "a.backup")
			result, err := r.deleter.DeleteBackups(ctx, BackupsRequest{Destination: r.destination(destID), IDs: []string{"bkp"}, Files: true})
			if err == nil && !(result.Outcomes[0].Deleted && result.Outcomes[0].FilesDeleted) {
				err = errors.New("the backup is not deleted")
			}
			return err
		},
		"cleanup": func(r *deleteRig) error {
			req := CleanupRequest{Destination: r.destination(destID), Types: recognized, Before: 1 << 60}
			plan, err := r.deleter.Plan(ctx, req)
			if err != nil {
				return err
			}
			req.Confirm = plan.Hash
			result, err := r.deleter.Cleanup(ctx, req)
			if err == nil && (result.Deleted != 1 || result.Failed > 0) {
				err = errors.New("the cleanup did not delete the file")
			}
			return err
		},
	}
	for how, remove := range ways {
		for name, ignored := range conditioned {
			t.Run(how+" "+name, func(t *testing.T) {
				r := newDeleteRig(t, mem.Options{Ignore: ignored})
				late := &lateBucket{Bucket: r.account.Bucket(bucket), held: map[string]provider.Deletion{}}
				r.put("a.backup", "content")
				r.sync()
				r.delete() // learns the conditions
				r.deleter.config.Buckets = late
				if err := remove(r); err != nil {
					t.Fatal(err)
				}
				r.agree()
				claim := &pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{
					Backup: &pb.Backup{Org: org, Id: "new", StorageId: destID, Status: "completed", StoragePath: []byte("a.backup")},
				}}}}
				refused := func(when string) {
					t.Helper()
					if res := r.propose(claim); len(res.Rejected) != 1 || res.Rejected[0].Code != catalog.CodeBeingDeleted {
						t.Errorf("%s the record is refused or stored: %v", when, res)
					}
				}
				r.put("a.backup", "content") // the same content has the same ETag
				refused("after the response")
				if err := r.deleter.recoverAll(ctx, map[string]*openIntent{}); err != nil {
					t.Fatal(err)
				}
				refused("after a pass of the recovery")
				r.reboot()
				r.deleter.config.Buckets = late
				if err := r.deleter.recoverAll(ctx, map[string]*openIntent{}); err != nil {
					t.Fatal(err)
				}
				refused("after a restart")
				late.act()
				r.recoverAbandoned()
				r.agree()
				if n := r.intents(); len(n) > 0 {
					t.Errorf("open intents: %v", n)
				}
				if res := r.propose(claim); len(res.Rejected) > 0 {
					t.Errorf("when no call can act anymore the record is refused or stored: %v", res)
				}
			})
		}
	}
}

// TestLateDeleteOfAGeneration: where a call names a generation that is gone, nothing has to
// be held.
func TestLateDeleteOfAGeneration(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Generations: true})
	late := &lateBucket{Bucket: r.account.Bucket(bucket), held: map[string]provider.Deletion{}}
	r.put("a.backup", "content")
	r.sync()
	r.delete() // learns the conditions
	r.deleter.config.Buckets = late
	if o := r.delete("a.backup")["a.backup"]; !o.Deleted {
		t.Fatalf("outcome %+v", o)
	}
	if n := r.intents(); len(n) > 0 {
		t.Errorf("open intents: %v", n)
	}
	r.put("a.backup", "content")
	r.backups("a.backup")
	late.act()
	if keys := r.keys(""); len(keys) != 1 {
		t.Errorf("the newer object was deleted: %q", keys)
	}
}
