package deletion

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"firescan/provider/mem"
)

// TestCleanupWithAnotherClock: the age of a file is by the provider's clock, so a cleanup is
// refused when that is far off, and corrected when it is near.
func TestCleanupWithAnotherClock(t *testing.T) {
	for _, c := range []struct {
		offset, age time.Duration // of the provider's clock; of the file by a true clock
		refused     string
		deleted     uint64
	}{
		{offset: -2 * time.Hour, age: time.Second, refused: "2h0m0s behind"},
		{offset: 2 * time.Hour, age: 3 * time.Hour, refused: "2h0m0s ahead of"},
		{offset: -4 * time.Minute, age: 58 * time.Minute},
		{offset: -4 * time.Minute, age: 62 * time.Minute, deleted: 1},
		{offset: 4 * time.Minute, age: 62 * time.Minute, deleted: 1},
		{offset: 4 * time.Minute, age: 58 * time.Minute},
	} {
		t.Run(c.offset.String()+" "+c.age.String(), func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{ClockOffset: c.offset})
			r.deleter.config.Buckets = r.rig
			r.account.Fill(bucket, 10, time.Now().Add(c.offset-c.age), "orphan.backup")
			r.account.Fill(bucket, 10, old, "linked.backup", "linked.meta")
			r.backups("linked.backup")
			r.sync()
			req := r.cleanupRequest()
			plan, planErr := r.deleter.Plan(context.Background(), req)
			result, err := r.deleter.Cleanup(context.Background(), req)
			if c.refused != "" {
				for _, err := range []error{planErr, err} {
					if refused, ok := errors.AsType[*ClockError](err); !ok || !strings.Contains(refused.Error(), c.refused) {
						t.Errorf("error %v, want one that says %q", err, c.refused)
					}
				}
				if len(r.keys("")) != 3 {
					t.Errorf("left: %q", r.keys(""))
				}
				return
			}
			if planErr != nil || err != nil || plan.Files != c.deleted || result.Deleted != c.deleted {
				t.Errorf("plan %+v, %v; result %+v, %v; want %d deleted", plan, planErr, result, err, c.deleted)
			}
		})
	}
}
