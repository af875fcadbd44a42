//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	apiclient "firescan/api/client"
)

// TestHostileEndpoints calls endpoints whose responses never end with every route that calls
// a provider, several at once. Each call fails with PROVIDER_ERROR, and the memory of
// the node stays bounded.
func TestHostileEndpoints(t *testing.T) {
	p := serve(t, t.TempDir())
	chunks := map[string][]byte{
		"S3":  []byte(`<?xml version="1.0"?><ListAllMyBucketsResult><Buckets>` + strings.Repeat("<Bucket/>", 8<<10)),
		"gcs": []byte(`{"kind":"storage#buckets","error":{"errors":[],"message":"` + strings.Repeat("x", 1<<10) + `"},"items":[{}` + strings.Repeat(",{}", 8<<10)),
	}
	var calls sync.WaitGroup
	for kind, first := range chunks {
		for _, status := range []int{http.StatusOK, http.StatusForbidden, http.StatusInternalServerError} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				more := bytes.Repeat(first[len(first)-9:], 8<<10)
				for _, err := w.Write(first); err == nil; {
					_, err = w.Write(more)
				}
			}))
			t.Cleanup(server.Close)
			credentials := map[string]string{"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": "secret"}
			if kind == "gcs" {
				credentials = map[string]string{"projectId": "project-1"}
			}
			account := map[string]any{"endpoint": server.URL, "credentials": credentials}
			with := func(extra ...string) map[string]any {
				in := map[string]any{}
				for k, v := range account {
					in[k] = v
				}
				for i := 0; i < len(extra); i += 2 {
					in[extra[i]] = extra[i+1]
				}
				return in
			}
			for path, in := range map[string]map[string]any{
				"connect":         with("provider", kind),
				"buckets/create":  with("provider", kind, "bucketName", "some-bucket"),
				"buckets/verify":  with("provider", kind, "bucketName", "some-bucket"),
				"buckets/folders": with("provider", kind, "bucketName", "some-bucket"),
			} {
				calls.Go(func() {
					err := insist(t, p.owner, "/api/v1/storage/"+path, in, nil)
					if err == nil && path == "buckets/create" && status == http.StatusOK {
						return // nothing but the status counts
					}
					if err == nil || !strings.Contains(err.Error(), "PROVIDER_ERROR") {
						t.Errorf("%s %d: %s ends with %v, want PROVIDER_ERROR", kind, status, path, err)
					}
				})
			}
			calls.Go(func() {
				name := fmt.Sprintf("%s-%d", strings.ToLower(kind), status)
				var made apiclient.Destination
				if err := insist(t, p.owner, "/api/v1/storage/destinations", with("type", kind, "name", name, "bucket", name), &made); err != nil {
					t.Errorf("create %s: %v", name, err)
					return
				}
				at := "/api/v1/storage/destinations/" + made.ID
				if err := insist(t, p.owner, at+"/verify", nil, nil); err == nil || !strings.Contains(err.Error(), "PROVIDER_ERROR") {
					t.Errorf("%s: verify ends with %v, want PROVIDER_ERROR", name, err)
				}
				var started startedSyncs
				if err := insist(t, p.owner, syncPath(made.ID), nil, &started); err != nil {
					t.Errorf("%s: sync: %v", name, err)
					return
				}
				if ended, err := p.owner.waitForSyncs(t.Context(), started.SyncIDs); err != nil || ended[0].Status != "failed" {
					t.Errorf("%s: the sync ended with %+v, %v", name, ended, err)
				}
			})
		}
	}
	calls.Wait()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var peak int
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &peak)
		}
	}
	t.Logf("peak memory %d MiB", peak>>10)
	if most := 256 << 10 * memoryFactor; peak == 0 || peak > most {
		t.Errorf("the peak memory is %d MiB, want at most %d", peak>>10, most>>10)
	}
}

// insist posts until a node that this test keeps very busy accepts it: one that was not
// scheduled for a second counts as frozen, and has the client send the request again.
func insist(t *testing.T, c *client, path string, in, out any) (err error) {
	t.Helper()
	await(t, path+" is accepted", func() bool {
		err = c.call(t.Context(), http.MethodPost, path, in, out)
		return err == nil || !strings.Contains(err.Error(), "NO_LEADER")
	})
	return err
}
