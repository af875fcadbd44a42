package s3_test

import (
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"firescan/provider"
)

// TestProbesLeaveNoVersions: on a versioned bucket a delete only adds a marker, so probes
// remove what they wrote by version id, and nothing else.
func TestProbesLeaveNoVersions(t *testing.T) {
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	if err := backend.SetVersioningConfiguration("bucket", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	b := provider.Retry(dial(t, server.URL, "id", "secret").Bucket("bucket"), provider.RetryOptions{Attempts: 1})
	for range 2 {
		if err := b.Put(t.Context(), "theirs.backup", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := provider.Probe(t.Context(), b, ""); err != nil || !p.Delete {
		t.Fatalf("permissions %+v, %v", p, err)
	}
	if _, err := provider.ProbeConditions(t.Context(), b, "dir/"); err != nil {
		t.Fatal(err)
	}
	versions, err := backend.ListBucketVersions("bucket", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(versions.Versions) != 2 {
		t.Errorf("left: %+v", versions.Versions)
	}
}
