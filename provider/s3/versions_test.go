package s3_test

import (
	"fmt"
	"net/http"
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

// TestServerWithoutVersions: a server that cannot list versions has none to be removed.
func TestServerWithoutVersions(t *testing.T) {
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend, gofakes3.WithoutVersioning()).Server())
	t.Cleanup(server.Close)
	remover, _ := provider.As[provider.VersionRemover](dial(t, server.URL, "id", "secret").Bucket("bucket"))
	if err := remover.RemoveVersions(t.Context(), "a.backup"); err != nil {
		t.Error(err)
	}
}

// TestDeletesThatKeepVersions: a deletion that only makes a marker is reported as such.
func TestDeletesThatKeepVersions(t *testing.T) {
	for _, versioned := range []bool{false, true} {
		backend := s3mem.New()
		if err := backend.CreateBucket("bucket"); err != nil {
			t.Fatal(err)
		}
		if versioned {
			if err := backend.SetVersioningConfiguration("bucket", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
				t.Fatal(err)
			}
		}
		server := httptest.NewServer(markers(gofakes3.New(backend).Server(), versioned))
		t.Cleanup(server.Close)
		b := provider.Retry(dial(t, server.URL, "id", "secret").Bucket("bucket"), provider.RetryOptions{Attempts: 1})
		keys := []string{"one", "two", "three"}
		for _, key := range keys {
			if err := b.Put(t.Context(), key, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		ctx, log := provider.LogAttempts(t.Context())
		if err := b.Delete(ctx, "one", ""); err != nil {
			t.Fatal(err)
		}
		for _, err := range b.DeleteBatch(ctx, []provider.Deletion{{Key: "two"}, {Key: "three"}}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range keys {
			if log.Versioned(key) != versioned {
				t.Errorf("%s, versioned %v: reported %v", key, versioned, log.Versioned(key))
			}
		}
	}
}

// markers responds to batches as Amazon does on a versioned bucket, and gofakes3 does not.
func markers(next http.Handler, versioned bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !versioned || !r.URL.Query().Has("delete") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, "<DeleteResult>")
		for _, key := range []string{"two", "three"} {
			fmt.Fprintf(w, "<Deleted><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>v</DeleteMarkerVersionId><Key>%s</Key></Deleted>", key)
		}
		fmt.Fprint(w, "</DeleteResult>")
	})
}

// TestRetained: a refusal because of an object lock is distinguished from a missing permission.
func TestRetained(t *testing.T) {
	for _, tc := range []struct {
		code, message string
		status        int
		want          provider.Kind
	}{
		{"AccessDenied", "Access Denied because object protected by object lock.", 403, provider.Retained}, // Amazon
		{"InvalidRequest", "Object is WORM protected and cannot be overwritten", 400, provider.Retained},   // MinIO
		{"ObjectLocked", "x", 403, provider.Retained},
		{"AccessDenied", "Access Denied", 403, provider.Denied},
		{"InvalidRequest", "x", 400, provider.Invalid},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			if r.URL.Query().Has("delete") {
				fmt.Fprintf(w, `<DeleteResult><Error><Key>k</Key><Code>%s</Code><Message>%s</Message></Error></DeleteResult>`, tc.code, tc.message)
				return
			}
			w.WriteHeader(tc.status)
			fmt.Fprintf(w, `<Error><Code>%s</Code><Message>%s</Message></Error>`, tc.code, tc.message)
		}))
		b := dial(t, server.URL, "id", "secret").Bucket("bucket")
		for _, err := range []error{b.Delete(t.Context(), "k", ""), b.DeleteBatch(t.Context(), []provider.Deletion{{Key: "k"}})[0]} {
			if provider.KindOf(err) != tc.want || provider.MayStillAct(err) {
				t.Errorf("%s, %q: %v", tc.code, tc.message, err)
			}
		}
		server.Close()
	}
}
