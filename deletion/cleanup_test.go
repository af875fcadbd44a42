package deletion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
)

var recognized = []index.Type{index.Backup, index.Meta, index.Auth, index.Pitr}

func (r *deleteRig) cleanupRequest() CleanupRequest {
	return CleanupRequest{Destination: r.destination(destID), Who: "tok_1", Types: recognized, Before: time.Now().Add(-time.Hour).UnixMilli()}
}

// mixed fills the bucket with 10 linked files and five orphans: two that are recognized and
// old enough, one of unknown type, one that is young, one from the future.
func (r *deleteRig) mixed() {
	r.t.Helper()
	for i := range 10 {
		r.account.Fill(bucket, 10, old, fmt.Sprintf("linked/%d.backup", i))
		r.backup(fmt.Sprintf("bkp_%d", i), fmt.Sprintf("linked/%d.backup", i))
	}
	r.account.Fill(bucket, 7, old, "orphans/1.backup", "orphans/2.meta", "orphans/3.txt")
	r.account.Fill(bucket, 7, time.Now(), "orphans/young.backup")
	r.account.Fill(bucket, 7, time.Now().Add(time.Hour), "orphans/future.backup")
}

func TestCleanup(t *testing.T) {
	ctx := context.Background()
	for name, ignored := range conditioned {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{Ignore: ignored})
			r.mixed()
			if _, err := r.deleter.Plan(ctx, r.cleanupRequest()); !errors.Is(err, ErrNeverSynced) {
				t.Errorf("a plan before the first sync: %v", err)
			}
			if _, err := r.deleter.Cleanup(ctx, r.cleanupRequest()); !errors.Is(err, ErrNeverSynced) {
				t.Errorf("a cleanup before the first sync: %v", err)
			}
			r.sync()
			plan, err := r.deleter.Plan(ctx, r.cleanupRequest())
			if err != nil || plan.Files != 2 || plan.Bytes != 14 || plan.Of != 15 || plan.TooLarge() ||
				len(plan.First) != 2 || string(plan.First[0].Path) != "orphans/1.backup" || len(plan.Hash) != 32 {
				t.Fatalf("plan %+v, %v", plan, err)
			}
			again, err := r.deleter.Plan(ctx, r.cleanupRequest())
			if err != nil || again.Hash != plan.Hash {
				t.Errorf("the same plan has the hashes %s and %s, %v", plan.Hash, again.Hash, err)
			}
			wider := r.cleanupRequest()
			wider.Types = append(wider.Types, index.Unknown)
			wider.Before = time.Now().Add(time.Minute).UnixMilli()
			if p, err := r.deleter.Plan(ctx, wider); err != nil || p.Files != 4 || p.Hash == plan.Hash {
				t.Errorf("plan of unknown and young files, too: %+v, %v", p, err)
			}
			wrong := r.cleanupRequest()
			wrong.Confirm = "0"
			var refused *PlanError
			if _, err := r.deleter.Cleanup(ctx, wrong); !errors.As(err, &refused) || !refused.Confirmed || refused.Hash != plan.Hash {
				t.Errorf("another plan was confirmed: %v", err)
			}
			if len(r.keys("")) != 15 {
				t.Fatalf("a plan, or what was refused, deleted something: %q", r.keys(""))
			}
			right := r.cleanupRequest()
			right.Confirm = plan.Hash
			res, err := r.deleter.Cleanup(ctx, right)
			if err != nil || res.Deleted != 2 || res.Bytes != 14 || res.Failed != 0 || res.Stopped != nil {
				t.Fatalf("cleanup: %+v, %v", res, err)
			}
			if len(r.keys("")) != 13 || len(r.keys("orphans/")) != 3 {
				t.Errorf("left: %q", r.keys(""))
			}
			r.agree()
			res, err = r.deleter.Cleanup(ctx, r.cleanupRequest())
			if err != nil || res.Deleted != 0 {
				t.Errorf("a second cleanup: %+v, %v", res, err)
			}
		})
	}
}

func TestCleanupTooLarge(t *testing.T) {
	ctx := context.Background()
	r := newDeleteRig(t, mem.Options{})
	r.deleter.config.Thresholds.Missing = 1
	r.account.Fill(bucket, 7, old, "1.backup", "2.backup", "3.backup", "4.backup")
	r.sync()
	check := func(unknown bool, files uint64) *PlanError {
		t.Helper()
		var refused *PlanError
		if _, err := r.deleter.Cleanup(ctx, r.cleanupRequest()); !errors.As(err, &refused) || refused.Confirmed || refused.Meets(GuardNoBackups) != unknown || refused.Files != files {
			t.Fatalf("cleanup: %+v, %v", refused, err)
		}
		return refused
	}
	_ = check(true, 4)
	r.backup("x", "x/elsewhere.backup") // a record, though of no file that is there
	first := check(false, 4)
	r.backup("1", "1.backup")
	refused := check(false, 3)
	if first.Hash == refused.Hash {
		t.Error("two plans have one hash")
	}
	req := r.cleanupRequest()
	req.Confirm = refused.Hash
	if res, err := r.deleter.Cleanup(ctx, req); err != nil || res.Deleted != 3 {
		t.Errorf("confirmed: %+v, %v", res, err)
	}
	// Half of the files is not more than half.
	r.account.Fill(bucket, 7, old, "5.backup")
	r.sync()
	if res, err := r.deleter.Cleanup(ctx, r.cleanupRequest()); err != nil || res.Deleted != 1 {
		t.Errorf("half of the files: %+v, %v", res, err)
	}
}

// TestCleanupWithoutRecords: where no backup at all is known, a few orphans are too many, too.
func TestCleanupWithoutRecords(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 7, old, "1.backup", "2.meta", "3.meta", "4.meta")
	r.sync()
	req := r.cleanupRequest()
	req.Types = []index.Type{index.Backup}
	var refused *PlanError
	if _, err := r.deleter.Cleanup(context.Background(), req); !errors.As(err, &refused) || !refused.Meets(GuardNoBackups) || refused.Files != 1 || refused.Of != 4 {
		t.Errorf("cleanup: %+v, %v", refused, err)
	}
	if keys := r.keys(""); len(keys) != 4 {
		t.Errorf("left: %q", keys)
	}
}

// TestCleanupOfUndatedFiles: one of unknown time is never old enough, also where none needs to be.
func TestCleanupOfUndatedFiles(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 7, old, "dated.backup", "linked.backup")
	r.account.Fill(bucket, 7, time.UnixMilli(0), "undated.backup")
	r.backup("bkp", "linked.backup")
	r.sync()
	req := r.cleanupRequest()
	req.Before = time.Now().UnixMilli()
	if res, err := r.deleter.Cleanup(context.Background(), req); err != nil || res.Deleted != 1 || res.Failed != 0 {
		t.Errorf("cleanup: %+v, %v", res, err)
	}
	if keys := r.keys(""); !slices.Equal(keys, []string{"linked.backup", "undated.backup"}) {
		t.Errorf("left: %q", keys)
	}
}

// TestCleanupFindsOthersWork deletes in a bucket that changes meanwhile.
func TestCleanupFindsOthersWork(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.mixed()
	r.account.Fill(bucket, 7, old, "orphans/4.backup", "orphans/5.backup")
	r.sync()
	r.put("orphans/1.backup", "1234567") // as large, and another
	if err := r.account.Bucket(bucket).Delete(context.Background(), "orphans/2.meta", ""); err != nil {
		t.Fatal(err)
	}
	r.set(func(_ int, what string) error {
		if what == "BeginDelete" {
			r.backup("new", "orphans/4.backup") // in the very last moment
		}
		return nil
	}, nil)
	res, err := r.deleter.Cleanup(context.Background(), r.cleanupRequest())
	if err != nil || res.Deleted != 1 || res.Bytes != 7 || res.Failed != 2 || len(res.Errors) != 2 {
		t.Fatalf("cleanup: %+v, %v", res, err)
	}
	if !errors.Is(res.Errors[0].Err, ErrChanged) || !errors.Is(res.Errors[1].Err, catalog.ErrNotOrphan) {
		t.Errorf("errors: %+v", res.Errors)
	}
	r.agree()
}

// TestCleanupStops ends between two batches when nobody waits for it any more, or when the
// catalog does not answer.
func TestCleanupStops(t *testing.T) {
	for _, stop := range []string{"the client left", "no leader"} {
		t.Run(stop, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{})
			r.mixed()
			for i := range 9 {
				r.account.Fill(bucket, 7, old, fmt.Sprintf("orphans/many-%d.backup", i))
			}
			r.sync()
			r.deleter.limits.paths = 2
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			begun := 0
			r.set(func(_ int, what string) error {
				if what == "BeginDelete" {
					if begun++; begun == 2 && stop == "the client left" {
						cancel()
					} else if begun == 3 {
						return errors.New("no leader")
					}
				}
				return nil
			}, nil)
			res, err := r.deleter.Cleanup(ctx, r.cleanupRequest())
			if err != nil || res.Deleted != 4 || res.Stopped == nil {
				t.Errorf("cleanup: %+v, %v", res, err)
			}
			r.agree()
			r.set(func(int, string) error { return errors.New("no leader") }, nil)
			if res, err := r.deleter.Cleanup(context.Background(), r.cleanupRequest()); err == nil {
				t.Errorf("a cleanup of which nothing could be begun: %+v", res)
			}
		})
	}
}

// TestCleanupCountsFailures names some of many.
func TestCleanupCountsFailures(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Faults: mem.Faults{Delete: func(_ context.Context, _, key string) error {
		if key[0] == 'o' {
			return &provider.Error{Kind: provider.Denied, Op: "delete", Reason: "it is locked"}
		}
		return nil
	}}})
	for i := range 200 {
		r.account.Fill(bucket, 10, old, fmt.Sprintf("linked/1.%d.backup", i))
		r.account.Fill(bucket, 10, old, fmt.Sprintf("o/%d.backup", i))
	}
	r.backup("1", "linked/1.0.backup")
	r.sync()
	res, err := r.deleter.Cleanup(context.Background(), r.cleanupRequest())
	if err != nil || res.Deleted != 0 || res.Failed != 200 || len(res.Errors) != maxCleanupErrors {
		t.Errorf("cleanup: %+v, %v", res, err)
	}
	r.agree()
}
