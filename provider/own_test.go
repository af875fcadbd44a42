package provider_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/provider"
	"firescan/provider/mem"
)

func composed(tb testing.TB, b provider.Bucket) provider.Bucket {
	tb.Helper()
	metrics, err := provider.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		tb.Fatal(err)
	}
	return provider.Compose(b, "S3", provider.NewLimiter(0), metrics, provider.RetryOptions{Attempts: 1},
		provider.NewSerialMemory(provider.MaxSerialMemory))
}

// TestOwnObjectsAreNotListed: where objects cannot be deleted, what probes leave behind is
// not listed as files, and does not become more.
func TestOwnObjectsAreNotListed(t *testing.T) {
	now := time.Now()
	a := mem.New(mem.Options{
		PageSize: 3, Now: func() time.Time { return now.Add(-time.Hour) },
		Faults: mem.Faults{Delete: mem.Always(provider.Denied, "delete")},
	}, "bucket")
	theirs := []string{
		"dir/.firescan-canary-", "dir/.firescan-probe-AAAAAAAAAAAAAAAAAAAAAAAAAA", "dir/.firescan-probe-notes",
		"dir/a-AAAAAAAAAAAAAAAAAAAAAAAAAA", "dir/b", "z",
	}
	a.Fill("bucket", 5, now, theirs...)
	b := composed(t, a.Bucket("bucket"))
	for range 3 {
		for _, prefix := range []string{"", "dir/"} {
			if p, err := provider.Probe(t.Context(), b, prefix); err != nil || p != (provider.Permissions{Read: true, Write: true}) {
				t.Fatalf("permissions %+v, %v", p, err)
			}
			if _, err := provider.ProbeConditions(t.Context(), b, prefix); provider.KindOf(err) != provider.Denied {
				t.Fatalf("conditions: %v", err)
			}
		}
	}
	list := func(b provider.Bucket) (keys []string) {
		for req := (provider.ListRequest{}); ; {
			var page provider.Page
			if err := b.List(t.Context(), req, &page); err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Objects {
				keys = append(keys, string(o.Key))
			}
			if req.Start = page.Next; !page.More {
				return keys
			}
		}
	}
	if got := list(b); !slices.Equal(got, theirs) {
		t.Errorf("listed %q, want %q", got, theirs)
	}
	if got := list(a.Bucket("bucket")); len(got) != len(theirs)+4 {
		t.Errorf("the bucket has %q: more than a probe and a canary below each prefix", got)
	}
}

func BenchmarkHideOwn(b *testing.B) {
	a := mem.New(mem.Options{}, "bucket")
	for i := range 1000 {
		a.Fill("bucket", 5, time.Now(), fmt.Sprintf("org/2026/11/27/database-%06d.backup", i))
	}
	for name, bucket := range map[string]provider.Bucket{"plain": a.Bucket("bucket"), "hiding": provider.HideOwn(a.Bucket("bucket"))} {
		b.Run(name, func(b *testing.B) {
			var page provider.Page
			for b.Loop() {
				if err := bucket.List(b.Context(), provider.ListRequest{}, &page); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
		})
	}
}
