package gcs_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"firescan/provider"
)

// TestDeletesThatKeepVersions: a deletion reports whether the bucket has kept the object, by
// the bucket's metadata or, where they may not be read, by the generation.
func TestDeletesThatKeepVersions(t *testing.T) {
	for name, tc := range map[string]struct {
		versioned bool
		metadata  map[string]any
		want      bool
		soft      time.Duration
	}{
		"by metadata":                  {true, map[string]any{"name": "bucket", "versioning": map[string]any{"enabled": true}}, true, 0},
		"by generation":                {true, nil, true, 0},
		"no versions":                  {false, map[string]any{"name": "bucket"}, false, 0},
		"no versions, metadata denied": {false, nil, false, 0},
		"soft delete": {false, map[string]any{"name": "bucket", "softDeletePolicy": map[string]any{
			"retentionDurationSeconds": "604800", "effectiveTime": "2026-01-01T00:00:00Z",
		}}, false, 7 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGoogle()
			g.metadata = tc.metadata
			if tc.versioned {
				g.versions = map[string][]object{}
			}
			g.buckets["bucket"] = map[string]object{}
			b := signedIn(t, g).Bucket("bucket")
			for _, key := range []string{"one", "two"} {
				if err := b.Put(t.Context(), key, []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			info, err := b.Stat(t.Context(), "one")
			if err != nil {
				t.Fatal(err)
			}
			ctx, log := provider.LogAttempts(t.Context())
			if err := b.Delete(ctx, "one", info.Tag); err != nil {
				t.Fatal(err)
			}
			if errs := b.DeleteBatch(ctx, []provider.Deletion{{Key: "two"}}); errs[0] != nil {
				t.Fatal(errs)
			}
			if log.Versioned("one") != tc.want || log.Versioned("two") != tc.want {
				t.Errorf("versioned: %v, %v", log.Versioned("one"), log.Versioned("two"))
			}
			soft, _ := provider.As[provider.SoftDeleter](b)
			if got := soft.SoftDelete(t.Context()); got != tc.soft {
				t.Errorf("deleted objects are kept for %v", got)
			}
		})
	}
}

// TestProbesLeaveNoGenerations: what probes write is removed with all its generations, and
// nothing else.
func TestProbesLeaveNoGenerations(t *testing.T) {
	g := newGoogle()
	g.versions, g.buckets["bucket"] = map[string][]object{}, map[string]object{}
	b := provider.Retry(signedIn(t, g).Bucket("bucket"), provider.RetryOptions{Attempts: 1})
	for range 2 {
		if err := b.Put(t.Context(), "theirs.backup", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if p, err := provider.Probe(t.Context(), b, ""); err != nil || !p.Delete {
			t.Fatalf("permissions %+v, %v", p, err)
		}
		if c, err := provider.ProbeConditions(t.Context(), b, "dir/"); err != nil || !c.Single || !c.Batch {
			t.Fatalf("conditions %+v, %v", c, err)
		}
	}
	left := 0
	for name, list := range g.versions {
		left += len(list)
		if len(list) > 0 && name != "theirs.backup" {
			t.Errorf("%d generations of %s are left", len(list), name)
		}
	}
	if left != 1 || len(g.buckets["bucket"]) != 1 {
		t.Errorf("%d generations and %d objects are left", left, len(g.buckets["bucket"]))
	}
}

// TestRetained: an object under retention or a hold is distinguished from a missing permission.
func TestRetained(t *testing.T) {
	for message, tc := range map[string]struct {
		reason string
		want   provider.Kind
	}{
		"Object 'bucket/o' is under active Temporary hold and cannot be deleted, overwritten or archived until hold is removed.":   {"forbidden", provider.Retained},
		"Object 'bucket/o' is under active Event-Based hold and cannot be deleted, overwritten or archived until hold is removed.": {"forbidden", provider.Retained},
		"Object 'bucket/o' is subject to bucket's retention policy and cannot be deleted or overwritten until 2027-01-01":          {"retentionPolicyNotMet", provider.Retained},
		"someone does not have storage.objects.delete access":                                                                      {"forbidden", provider.Denied},
	} {
		g := newGoogle()
		g.buckets["bucket"] = map[string]object{"o": {Name: "o", Generation: 1}}
		g.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodDelete {
				return false
			}
			fail(w, http.StatusForbidden, tc.reason, message)
			return true
		}
		err := signedIn(t, g).Bucket("bucket").Delete(t.Context(), "o", "")
		if provider.KindOf(err) != tc.want || provider.MayStillAct(err) || strings.Contains(err.Error(), "bucket/o") {
			t.Errorf("%s: %v", message, err)
		}
	}
}
