package deletion

import (
	"errors"
	"testing"
	"time"

	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
)

// TestRecordsOfOthersDoNotLiftTheGuard: a cleanup of an organization without records needs
// confirmation, whatever other organizations claim in the bucket.
func TestRecordsOfOthersDoNotLiftTheGuard(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	for _, key := range []string{"a.backup", "b.backup", "c.backup"} {
		r.put(key, key)
	}
	r.log.Put(catalogtest.Destination("stranger", "storage_s", bucket))
	r.log.PutBackups("stranger", "storage_s", "fake1.backup", "fake2.backup")
	r.sync()
	req := CleanupRequest{Destination: r.destination(destID), Who: "tok_1", Before: time.Now().UnixMilli(), Types: []index.Type{index.Backup}}
	_, err := r.deleter.Cleanup(t.Context(), req)
	if refused, ok := errors.AsType[*PlanError](err); !ok || !refused.Meets(GuardNoBackups) {
		t.Errorf("cleanup: %v, want a refusal since no backup is known", err)
	}
	if left := r.keys(""); len(left) != 3 {
		t.Errorf("left: %q", left)
	}
}

// TestCredentialsBeforeAnythingElse: a destination whose credentials do not work learns
// nothing about paths, and marks none.
func TestCredentialsBeforeAnythingElse(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Faults: mem.Broken(provider.Credentials)})
	r.backups("linked.backup")
	_, err := r.deleter.DeleteFiles(t.Context(), FilesRequest{
		Destination: r.destination(destID), Who: "tok_1", Paths: [][]byte{[]byte("linked.backup"), []byte("other.backup")},
	})
	if provider.KindOf(err) != provider.Credentials {
		t.Errorf("delete: %v, want the refusal of the credentials", err)
	}
	if open := r.intents(); len(open) != 0 {
		t.Errorf("%d intents were made", len(open))
	}
}
