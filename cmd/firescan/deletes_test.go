package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	apiclient "firescan/api/client"
	"firescan/bench/bucketserver"
	"firescan/provider/providertest/versitygw"
)

// putBackup stores a record.
func (p *process) putBackup(t *testing.T, id, storage, path string, files ...string) error {
	t.Helper()
	return p.service.call(t.Context(), http.MethodPut, "/api/v1/catalog/backups/"+id, map[string]any{
		"id": id, "storageId": storage, "projectId": "proj", "status": "completed", "size": 1, "collections": []string{},
		"createdAt": "2024-01-15T10:00:00Z", "storagePath": path, "files": files,
	}, nil)
}

// paths lists the files in the index.
func (p *process) paths(t *testing.T, id string) []string {
	t.Helper()
	var paths []string
	files, _ := p.list(t, id, url.Values{})
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	return paths
}

func (s *store) keys(t *testing.T) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(s.list(t)))
}

// TestDeletes deletes in all ways at a real S3 server, and compares with the list of
// another client.
func TestDeletes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	endpoint, access, secret := versitygw.Start(t)
	s := newStore(t, endpoint, access, secret)
	objects := map[string]int{
		"acme/linked.backup": 9, "acme/linked.meta.json": 2, "acme/kept.backup": 3, "acme/one.backup": 4, "acme/one.auth.gz": 1, "acme/one-more.backup": 1,
		"acme/orphan 1.backup": 5, "acme/orphan+2.backup": 6, "acme/notes.txt": 7, "elsewhere/x.backup": 1,
	}
	for i := range 30 {
		objects[fmt.Sprintf("acme/many/%02d.backup", i)] = 1
		objects[fmt.Sprintf("acme/kept/%02d.backup", i)] = 1
	}
	s.put(t, objects)
	p := serve(t, t.TempDir())
	id := p.connect(t, s.bucket, endpoint, access, secret)
	var kept []string
	for i := range 30 {
		kept = append(kept, fmt.Sprintf("acme/kept/%02d.backup", i))
	}
	for _, err := range []error{
		p.putBackup(t, "linked", id, "acme/linked.backup"), p.putBackup(t, "one", id, "acme/one.backup", "acme/kept.backup"),
		p.putBackup(t, "kept", id, "acme/kept.backup", kept...),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var verified struct{ ConditionalDelete *struct{ Single, Batch bool } }
	if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/verify"), nil, &verified); err != nil || verified.ConditionalDelete == nil {
		t.Fatalf("verify: %+v, %v", verified, err)
	}
	t.Logf("conditional deletes of the server: %+v", *verified.ConditionalDelete)
	p.sync(t, id)

	// A linked file stays, whatever alias of its path is requested: servers may have both as one.
	remove := func(path string) error {
		return p.owner.call(t.Context(), http.MethodDelete, destinationPath(id, "/files"), map[string]string{"path": path}, nil)
	}
	for path, code := range map[string]string{
		"acme/linked.backup": "FILE_NOT_ORPHAN", "acme/linked.meta.json": "FILE_NOT_ORPHAN", "acme/nothing.backup": "FILE_NOT_FOUND",
		"acme/x/../linked.backup": "FILE_NOT_ORPHAN", "acme//linked.backup": "FILE_NOT_ORPHAN", "acme/./linked.backup": "FILE_NOT_ORPHAN", "/acme/linked.backup": "FILE_NOT_ORPHAN",
	} {
		if err := remove(path); !isCode(err, apiclient.Code(code)) {
			t.Errorf("delete %q: %v, want %s", path, err, code)
		}
	}
	gone := func(paths ...string) {
		t.Helper()
		for _, path := range paths {
			delete(objects, path)
		}
		want := slices.Sorted(maps.Keys(objects))
		if got := s.keys(t); !slices.Equal(got, want) {
			t.Fatalf("the bucket has %q, want %q", got, want)
		}
		if got := p.paths(t, id); !slices.Equal(got, want) {
			t.Fatalf("the index has %q, want %q", got, want)
		}
	}
	gone()
	if err := remove("acme/orphan 1.backup"); err != nil {
		t.Error(err)
	}
	gone("acme/orphan 1.backup")

	var bulk struct{ DeletedCount, FailedCount int }
	paths := []string{"acme/orphan+2.backup", "acme/kept.backup", "acme/many/00.backup", "acme/many/01.backup"}
	if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/files/bulk-delete"), map[string]any{"paths": paths}, &bulk); err != nil || bulk.DeletedCount != 3 || bulk.FailedCount != 1 {
		t.Errorf("bulk delete: %+v, %v", bulk, err)
	}
	gone(paths[0], paths[2], paths[3])

	var backups struct{ DeletedCount, FilesDeletedCount, FailedCount int }
	body := map[string]any{"backupIds": []string{"one", "nothing"}, "deleteStorageFiles": true}
	if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/backups/bulk-delete"), body, &backups); err != nil ||
		backups.DeletedCount != 1 || backups.FilesDeletedCount != 2 || backups.FailedCount != 1 {
		t.Errorf("delete backups: %+v, %v", backups, err)
	}
	gone("acme/one.backup", "acme/one.auth.gz")

	// A file that was replaced since the scan is not deleted.
	s.put(t, map[string]int{"acme/one-more.backup": 2})
	if err := remove("acme/one-more.backup"); !isCode(err, "CONFLICT") {
		t.Errorf("delete a replaced file: %v", err)
	}
	var done apiclient.CleanedUpReply_Data
	if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/cleanup-orphans"), nil, &done); err != nil || done.DeletedCount != 0 {
		t.Errorf("cleanup of files younger than the minimum age: %+v, %v", done, err)
	}
	if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/cleanup-orphans?minAge=0s"), nil, &done); err != nil || done.DeletedCount != 29 || done.FailedCount != 1 {
		t.Errorf("cleanup: %+v, %v", done, err)
	}
	for path := range objects {
		if strings.HasPrefix(path, "acme/many/") || path == "elsewhere/x.backup" {
			delete(objects, path)
		}
	}
	gone()
	var audit struct {
		Entries []struct {
			Files []struct{ Path, Reason string }
		}
	}
	if err := p.owner.call(t.Context(), http.MethodGet, "/api/v1/storage/audit?action=file.deleted", nil, &audit); err != nil || len(audit.Entries) == 0 || len(audit.Entries[0].Files) == 0 {
		t.Errorf("audit: %+v, %v", audit, err)
	}
}

// TestKilledDuringDelete kills a node between the steps of a cleanup, and checks bucket
// and index after a restart.
func TestKilledDuringDelete(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for name, executed := range map[string]bool{"before the provider deletes": false, "before the provider responds": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killDuringDelete(t, executed)
		})
	}
}

func killDuringDelete(t *testing.T, executed bool) {
	t.Helper()
	keys, err := bucketserver.NewKeys(bucketserver.Tree, 3000)
	if err != nil {
		t.Fatal(err)
	}
	bucket := bucketserver.New(bucketserver.Options{Keys: keys, Bucket: "backups"})
	// The node is killed during the second batch. A late record refers to its first file.
	var mu sync.Mutex
	batches := 0
	reached := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Query().Has("delete") && r.ContentLength > 2000 { // not a probe
			mu.Lock()
			batches++
			second := batches == 2
			mu.Unlock()
			if second {
				if executed {
					bucket.ServeHTTP(httptest.NewRecorder(), r)
				}
				_, _ = io.Copy(io.Discard, r.Body) // else the disconnect of the client goes unnoticed
				close(reached)
				<-r.Context().Done()
				return
			}
		}
		bucket.ServeHTTP(w, r)
	}))
	defer front.Close()
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(front.URL), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "secret", ""), HTTPClient: front.Client(),
	})
	s := &store{client: client, bucket: "backups"}

	p := serve(t, t.TempDir())
	id := p.connect(t, "backups", front.URL, "AKIATEST", "secret")
	var lines bytes.Buffer
	if err := keys.WriteRecords(&lines, bucketserver.Catalog{Orphans: 0.45, StorageID: id}); err != nil {
		t.Fatal(err)
	}
	response, err := p.service.stream(t.Context(), http.MethodPost, "/api/v1/catalog/import", "application/x-ndjson", &lines)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Close()
	p.sync(t, id)
	needed := map[string]bool{}
	orphans, _ := p.list(t, id, url.Values{"orphansOnly": {"true"}})
	for _, path := range p.paths(t, id) {
		needed[path] = !slices.ContainsFunc(orphans, func(f apiclient.File) bool { return f.Path == path })
	}
	if len(orphans) < 1100 {
		t.Fatalf("only %d orphans: the test needs two batches", len(orphans))
	}

	ctx, cancel := context.WithCancel(t.Context())
	cleaned := make(chan error, 1)
	go func() {
		cleaned <- p.owner.call(ctx, http.MethodPost, destinationPath(id, "/cleanup-orphans"), nil, nil)
	}()
	select {
	case <-reached:
	case err := <-cleaned:
		t.Fatalf("the cleanup ended before its second batch: %v\n%s", err, lastLines(p.log.String(), 60))
	}
	time.Sleep(200 * time.Millisecond) // for the other batches
	p.end(t, syscall.SIGKILL)
	cancel()
	if err := <-cleaned; err == nil {
		t.Error("the cleanup of a killed node succeeded")
	}
	before := s.keys(t)

	p = serve(t, p.dir)
	// While the outcome for a file is unknown, no record may refer to it.
	indexed := p.paths(t, id)
	var marked []string
	for _, f := range orphans {
		if slices.Contains(indexed, f.Path) && (executed != slices.Contains(before, f.Path)) {
			marked = append(marked, f.Path)
		}
	}
	refused := func() {
		if len(marked) == 0 {
			return
		}
		if err := p.putBackup(t, "late", id, marked[0]); !isCode(err, "PATH_BEING_DELETED") {
			t.Errorf("a record of a marked file: %v", err)
		}
	}
	if refused(); len(marked) == 0 && !executed { // else all files were gone and recovery was quick
		t.Error("no intent was open")
	}
	p.same(t, s, id, needed)
	refused() // a call of the killed node could still be held on its way
	if left := s.keys(t); !slices.Equal(left, before) {
		t.Errorf("the restarted node has deleted files: %d files, %d before", len(left), len(before))
	}
	// A new cleanup deletes the rest, as soon as the open intents have their outcomes.
	await(t, "the rest is deleted", func() bool {
		var done apiclient.CleanedUpReply_Data
		if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/cleanup-orphans"), nil, &done); err != nil {
			t.Fatalf("the cleanup after the restart: %v", err)
		}
		return done.FailedCount == 0
	})
	p.same(t, s, id, needed)
	if rest, _ := p.list(t, id, url.Values{"orphansOnly": {"true"}}); len(rest) > 0 {
		t.Errorf("%d orphans are left", len(rest))
	}
}

// same checks that bucket and index have the same files, including the needed ones.
func (p *process) same(t *testing.T, s *store, id string, needed map[string]bool) {
	t.Helper()
	keys := s.keys(t)
	var paths []string
	await(t, "index and bucket have the same files", func() bool {
		paths = p.paths(t, id)
		return slices.Equal(paths, keys)
	})
	for path, need := range needed {
		if _, there := slices.BinarySearch(keys, path); need && !there {
			t.Errorf("%q is gone, which a record needs", path)
		}
	}
}

// TestDeletesThroughAnUnreliableProxy drops responses of the provider.
func TestDeletesThroughAnUnreliableProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	endpoint, access, secret := versitygw.Start(t)
	s := newStore(t, endpoint, access, secret)
	objects := map[string]int{}
	for i := range 60 {
		objects[fmt.Sprintf("o/%02d.backup", i)] = i
		objects[fmt.Sprintf("l/%02d.backup", i)] = i
	}
	s.put(t, objects)
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	lossy := &httputil.ReverseProxy{
		// The signature covers the host, so the proxy must not change it.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodDelete || r.Request.URL.Query().Has("delete") {
				mu.Lock()
				defer mu.Unlock()
				if n++; n%2 == 0 {
					panic(http.ErrAbortHandler)
				}
			}
			return nil
		},
	}
	front := httptest.NewServer(lossy)
	defer front.Close()
	p := serve(t, t.TempDir())
	id := p.connect(t, s.bucket, front.URL, access, secret)
	var linked []string
	for i := range 60 {
		linked = append(linked, fmt.Sprintf("l/%02d.backup", i))
	}
	if err := p.putBackup(t, "linked", id, linked[0], linked...); err != nil {
		t.Fatal(err)
	}
	p.sync(t, id)
	var done apiclient.CleanedUpReply_Data
	if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/cleanup-orphans?minAge=0s"), nil, &done); err != nil || done.DeletedCount != 60 || done.FailedCount != 0 {
		t.Errorf("cleanup: %+v, %v", done, err)
	}
	if keys := s.keys(t); !slices.Equal(keys, linked) {
		t.Errorf("left: %q", keys)
	}
	if paths := p.paths(t, id); !slices.Equal(paths, linked) {
		t.Errorf("the index has %q", paths)
	}
}
