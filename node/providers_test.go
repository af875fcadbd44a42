package node

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

func testBuckets(t *testing.T, allow ...string) *buckets {
	t.Helper()
	c, err := catalog.Open(t.TempDir()+"/catalog.db", catalog.Options{Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	egress, err := provider.NewEgress(provider.EgressConfig{Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(egress.Close)
	metrics, err := provider.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return newBuckets(c, &keys{catalog: c}, egress, metrics, "")
}

func TestAccountsThatAreRefused(t *testing.T) {
	b := testBuckets(t, "127.0.0.1:9000")
	for name, c := range map[string]struct {
		typ, endpoint string
		want          provider.Kind
	}{
		"a type of a later version": {"azure", "", provider.Invalid},
		"no key":                    {catalog.TypeGCS, "", provider.Credentials},
		"an emulator not allowed":   {catalog.TypeFirebase, "http://10.0.0.1:4443", provider.Forbidden},
		"an endpoint not allowed":   {catalog.TypeS3, "http://10.0.0.1:9000", provider.Forbidden},
		"the metadata service":      {catalog.TypeS3, "http://169.254.169.254", provider.Forbidden},
		"no endpoint at all":        {catalog.TypeS3, "ftp://x", provider.Invalid},
	} {
		if _, err := b.Account(t.Context(), "org1", c.typ, c.endpoint, "", nil); provider.KindOf(err) != c.want {
			t.Errorf("%s: %v, want kind %v", name, err, c.want)
		}
	}
	if _, err := b.Account(t.Context(), "org1", catalog.TypeS3, "http://127.0.0.1:9000", "", map[string]string{accessKeyID: "k", secretAccessKey: "s"}); err != nil {
		t.Errorf("an endpoint that is allowed: %v", err)
	}
}

// TestGoogleAccounts: key files come from the node's directory alone, and emulators need
// none of them.
func TestGoogleAccounts(t *testing.T) {
	b, keys := testBuckets(t, "127.0.0.1:4443"), t.TempDir()
	for _, org := range []string{"org1", "org2"} {
		if err := os.Mkdir(filepath.Join(keys, org), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(keys, org, "key.json"), []byte(`{"project_id":"p"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		dir, endpoint, field, value string
		good                        bool
	}{
		"an emulator":                   {"", "http://127.0.0.1:4443", projectID, "a-project", true},
		"a key file without a place":    {"", "", keyFilename, "key.json", false},
		"a key file that is not there":  {t.TempDir(), "", keyFilename, "key.json", false},
		"another's key file":            {keys, "http://127.0.0.1:4443", keyFilename, filepath.Join(keys, "org2", "key.json"), false},
		"the own key file":              {keys, "http://127.0.0.1:4443", keyFilename, "key.json", true},
		"its whole path":                {keys, "http://127.0.0.1:4443", keyFilename, filepath.Join(keys, "org1", "key.json"), true},
		"a key that is none":            {"", "", serviceAccountKey, "{}", false},
		"a key for somebody else's way": {"", "", serviceAccountKey, `{"type":"external_account"}`, false},
	} {
		for _, typ := range []string{catalog.TypeGCS, catalog.TypeFirebase} {
			b.gcsKeyDir = c.dir
			_, err := b.Account(t.Context(), "org1", typ, c.endpoint, "", map[string]string{c.field: c.value})
			if (err == nil) != c.good || err != nil && provider.KindOf(err) != provider.Credentials {
				t.Errorf("%s: %s: %v, want good: %v", typ, name, err, c.good)
			}
		}
	}
}

func TestKeyDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key.json")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, good := range map[string]bool{"": true, dir: true, file: false, filepath.Join(dir, "none"): false} {
		if err := checkKeyDir(path); (err == nil) != good || err != nil && !strings.Contains(err.Error(), "--gcs-key-dir") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestTriedAccountsTryAgain has a server that fails once: the bucket is asked again.
func TestTriedAccountsTryAgain(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead { // whether the credentials are wrong
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	account, err := testBuckets(t, "127.0.0.1:*").Account(t.Context(), "org1", catalog.TypeS3, server.URL, "",
		map[string]string{accessKeyID: "k", secretAccessKey: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := account.Bucket("a-bucket").Stat(t.Context(), "key"); provider.KindOf(err) != provider.Denied || calls.Load() != 2 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}

// TestSessionTokenIsSent: temporary credentials reach the server of an S3 account whole.
func TestSessionTokenIsSent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Security-Token") != "the token" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	account, err := testBuckets(t, "127.0.0.1:*").Account(t.Context(), "org1", catalog.TypeS3, server.URL, "",
		map[string]string{accessKeyID: "ASIA", secretAccessKey: "s", sessionToken: "the token"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := account.Bucket("a-bucket").Stat(t.Context(), "key"); err != nil {
		t.Error(err)
	}
}

func TestForgottenDestinationsAreClosed(t *testing.T) {
	b := testBuckets(t)
	b.open["storage_gone"] = openBucket{revision: 1}
	limiter := b.limiters.For("s3//gone", 1)
	if err := b.forget(); err != nil {
		t.Fatal(err)
	}
	if b.limiters.For("s3//gone", 1) == limiter {
		t.Error("the limiter of a bucket that no destination has is still in memory")
	}
	if _, ok := b.open["storage_gone"]; ok {
		t.Error("the credentials of a destination that is gone are still in memory")
	}
}

func TestCeilings(t *testing.T) {
	for _, c := range []struct {
		d    *pb.Destination
		want float64
	}{
		{&pb.Destination{Type: catalog.TypeS3}, provider.CeilingS3},
		{&pb.Destination{Type: catalog.TypeSpaces}, provider.CeilingSpaces},
		{&pb.Destination{Type: catalog.TypeFirebase}, provider.CeilingGCS},
		{&pb.Destination{Type: catalog.TypeS3, Endpoint: "http://minio:9000"}, 0},
	} {
		if got := ceiling(c.d); got != c.want {
			t.Errorf("%v: %v calls a second, want %v", c.d, got, c.want)
		}
	}
}
