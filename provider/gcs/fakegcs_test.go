package gcs_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"firescan/provider"
	"firescan/provider/gcs"
	"firescan/provider/providertest"
	"firescan/provider/providertest/fakegcs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial opens an account at a server on this machine.
func dial(t *testing.T, endpoint string, firebase bool) provider.Account {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	a, err := gcs.New(gcs.Config{
		Endpoint: endpoint, ProjectID: "a-project", Firebase: firebase, HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestProjectOfTheKey checks that the project comes from the key, also with an emulator.
func TestProjectOfTheKey(t *testing.T) {
	endpoint, dir := fakegcs.Start(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "k.json"), []byte(`{"project_id":"a-project"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	for bucket, config := range map[string]gcs.Config{
		"by-text": {Key: `{"project_id":"a-project"}`}, "by-file": {KeyFilename: "k.json", KeyDir: filepath.Dir(dir), KeyOwner: filepath.Base(dir)},
	} {
		config.Endpoint, config.HTTPClient = endpoint, &http.Client{Transport: transport}
		a, err := gcs.New(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.CreateBucket(t.Context(), bucket, ""); err != nil {
			t.Errorf("%s: %v", bucket, err)
		}
		if found, err := a.Buckets(t.Context()); err != nil || len(found) == 0 {
			t.Errorf("%s: %v, %v", bucket, found, err)
		}
	}
}

func TestConformance(t *testing.T) {
	endpoint := fakegcs.Start(t)
	var buckets atomic.Int64
	for _, c := range []struct {
		name, buckets string
		firebase      bool
	}{
		{"gcs", "bucket-%d", false},
		{"firebase-storage", "a-project-%d.appspot.com", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := func(t *testing.T) (provider.Account, string) {
				t.Helper()
				a := dial(t, endpoint, c.firebase)
				name := fmt.Sprintf(c.buckets, buckets.Add(1))
				if err := a.CreateBucket(t.Context(), name, ""); err != nil {
					t.Fatal(err)
				}
				return a, name
			}
			providertest.Run(t, open, providertest.Quirks{
				Unfit: func(key string) bool { return strings.ContainsAny(key, "\r\n") },
				// It reads no generation preconditions.
				IgnoresCondition: true, IgnoresBatchCondition: true,
			})
		})
	}
}
