package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	apiclient "firescan/api/client"
	"firescan/bench/bucketserver"
	"firescan/catalog"
	"firescan/keyspace"
	"firescan/provider/providertest/versitygw"
)

// realFile are the expected properties of a file.
type realFile struct {
	size   int64
	typ    string
	orphan bool
}

// store is a bucket of a real S3 server, filled by the SDK.
type store struct {
	client *s3.Client
	bucket string
}

func newStore(t *testing.T, endpoint, access, secret string) *store {
	t.Helper()
	return newStoreOf(t, endpoint, access, secret, "backups")
}

func newStoreOf(t *testing.T, endpoint, access, secret, bucket string) *store {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	s := &store{bucket: bucket, client: s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
		HTTPClient:  &http.Client{Transport: transport},
	})}
	if _, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *store) put(t *testing.T, sizes map[string]int) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(16)
	for key, size := range sizes {
		g.Go(func() error {
			_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(make([]byte, size))})
			if err != nil {
				return fmt.Errorf("put %q: %w", key, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// list lists the bucket by the SDK.
func (s *store) list(t *testing.T) map[string]realFile {
	t.Helper()
	files := map[string]realFile{}
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			files[*o.Key] = realFile{size: *o.Size, typ: typeByName(*o.Key)}
		}
	}
	return files
}

// typeByName is an independent implementation of the classification by name.
func typeByName(key string) string {
	segments := strings.Split(key, "/")
	name := segments[len(segments)-1]
	if slices.Contains(segments[:len(segments)-1], "pitr") {
		return "pitr"
	}
	for _, packed := range []string{".gz", ".zst", ".enc"} {
		name = strings.TrimSuffix(name, packed)
	}
	for _, c := range []struct{ suffix, typ string }{
		{".backup", "backup"}, {".meta", "meta"}, {".meta.json", "meta"}, {".auth", "auth"}, {".auth.json", "auth"},
	} {
		if strings.HasSuffix(name, c.suffix) {
			return c.typ
		}
	}
	return "unknown"
}

// realKeys returns keys of typical backups, and keys that need escaping.
func realKeys() map[string]int {
	keys := map[string]int{}
	for i := range 700 {
		stem := fmt.Sprintf("acme/%02d/bkp_%04x", i%7, i*2654435761&0xffff)
		keys[stem+".backup"], keys[stem+".meta.json"], keys[stem+".auth.gz"] = i, i%3, 1
	}
	for i, name := range []string{
		"with blank", "two  blanks", "plus+plus", "percent%", "%41", "100%25", "a&b", "a&amp;b", `quo"te`, "apos'trophe",
		"<tag>", "semi;colon", "question?x=1", "hash#mark", "equals=", "star*", "tilde~", "colon:", "comma,", "at@", "grüße",
		"日本語", "emoji🔥", "combining e\u0301", "composed \u00e9", "tab\there", "caret^", "pipe|", "brace{1}",
	} {
		keys["odd/"+name+".backup"], keys["odd/"+name+".meta"] = i+1, i
	}
	long := strings.Repeat(strings.Repeat("l", 127)+"/", 7)
	for i := range 3 {
		keys[long+strings.Repeat("n", 1024-len(long)-8-i)+".backup"] = i // 1,024 bytes and a little less
	}
	keys["acme/pitr/2024/log-1"], keys["notes.txt"], keys["README"] = 5, 6, 7
	return keys
}

func stem(key string) string { return string(keyspace.Stem([]byte(key))) }

// TestSystem compares the files of a node with the list of a real S3 server by the SDK.
func TestSystem(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	endpoint, access, secret := versitygw.Start(t)
	s := newStore(t, endpoint, access, secret)
	s.put(t, realKeys())
	files := s.list(t)
	if len(files) != len(realKeys()) {
		t.Fatalf("the server has %d objects, want %d", len(files), len(realKeys()))
	}

	p := serve(t, t.TempDir())
	id := p.connect(t, s.bucket, endpoint, access, secret)
	var verdict struct{ Verified bool }
	if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/verify"), nil, &verdict); err != nil || !verdict.Verified {
		t.Fatalf("verify: %+v, %v", verdict, err)
	}

	// Every second stem has a backup record; one record has no file.
	backups := map[string]map[string]any{} // by stem
	for i, key := range slices.Sorted(maps.Keys(files)) {
		if typeByName(key) == "backup" && i%2 == 0 {
			backups[stem(key)] = map[string]any{
				"kind": "backup", "id": fmt.Sprintf("bkp_%d", i), "storageId": id, "projectId": "proj", "status": "completed", "size": 1,
				"collections": []string{"users"}, "createdAt": "2024-01-15T10:00:00Z", "storagePath": key,
			}
		}
	}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, b := range backups {
		if err := enc.Encode(b); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintf(&lines, `{"kind":"backup","id":"bkp_lost","storageId":%q,"projectId":"proj","status":"completed","size":1,"collections":[],"createdAt":"2024-01-15T10:00:00Z","storagePath":"acme/lost.backup"}`+"\n", id)
	response, err := p.service.stream(t.Context(), http.MethodPost, "/api/v1/catalog/import", "application/x-ndjson", &lines)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Close()
	for key, f := range files {
		f.orphan = backups[stem(key)] == nil
		files[key] = f
	}

	done := p.sync(t, id)
	if done.FilesScanned != int64(len(files)) || done.MissingBackups != 1 {
		t.Errorf("sync %+v, want %d files and one missing backup", done, len(files))
	}
	p.compare(t, id, files)

	// Deleting a backup record makes its files orphans without a new sync; restoring it
	// links them again.
	victim := slices.Sorted(maps.Keys(backups))[len(backups)/2]
	path := "/api/v1/catalog/backups/" + backups[victim]["id"].(string) //nolint:forcetypeassert // made above
	setOrphan := func(orphan bool) {
		for key, f := range files {
			if stem(key) == victim {
				f.orphan = orphan
				files[key] = f
			}
		}
	}
	if err := p.service.call(t.Context(), http.MethodDelete, path, nil, nil); err != nil {
		t.Fatal(err)
	}
	setOrphan(true)
	p.compare(t, id, files)
	record := maps.Clone(backups[victim])
	delete(record, "kind")
	if err := p.service.call(t.Context(), http.MethodPut, path, record, nil); err != nil {
		t.Fatal(err)
	}
	setOrphan(false)
	p.compare(t, id, files)

	// A restart loses nothing.
	p.end(t, syscall.SIGTERM)
	p = serve(t, p.dir)
	p.compare(t, id, files)
	p.end(t, syscall.SIGKILL)
	p = serve(t, p.dir)
	p.compare(t, id, files)
}

// compare lists with every filter, page by page, and compares pages and totals with the
// expected files.
func (p *process) compare(t *testing.T, id string, files map[string]realFile) {
	t.Helper()
	for name, filter := range map[string]struct {
		query url.Values
		keep  func(key string, f realFile) bool
	}{
		"all":            {url.Values{}, func(string, realFile) bool { return true }},
		"orphans":        {url.Values{"orphansOnly": {"true"}}, func(_ string, f realFile) bool { return f.orphan }},
		"backups":        {url.Values{"type": {"backup"}}, func(_ string, f realFile) bool { return f.typ == "backup" }},
		"meta":           {url.Values{"type": {"meta"}}, func(_ string, f realFile) bool { return f.typ == "meta" }},
		"auth":           {url.Values{"type": {"auth"}}, func(_ string, f realFile) bool { return f.typ == "auth" }},
		"pitr":           {url.Values{"type": {"pitr"}}, func(_ string, f realFile) bool { return f.typ == "pitr" }},
		"unknown":        {url.Values{"type": {"unknown"}}, func(_ string, f realFile) bool { return f.typ == "unknown" }},
		"prefix":         {url.Values{"prefix": {"odd/p"}}, func(k string, _ realFile) bool { return strings.HasPrefix(k, "odd/p") }},
		"prefix+orphans": {url.Values{"prefix": {"acme/03/"}, "orphansOnly": {"true"}}, func(k string, f realFile) bool { return f.orphan && strings.HasPrefix(k, "acme/03/") }},
		"old":            {url.Values{"minAge": {"24h"}}, func(string, realFile) bool { return false }},
	} {
		var want []string
		var size, orphans int64
		for _, key := range slices.Sorted(maps.Keys(files)) {
			if f := files[key]; filter.keep(key, f) {
				want = append(want, key)
				size += f.size
				if f.orphan {
					orphans++
				}
			}
		}
		got, last := p.list(t, id, filter.query)
		if !slices.EqualFunc(got, want, func(f apiclient.File, key string) bool {
			return f.Path == key && f.Size == fmt.Sprint(files[key].size) && string(f.Type) == files[key].typ && f.IsOrphan == files[key].orphan
		}) {
			t.Errorf("%s: %d files, want %d; first difference %s", name, len(got), len(want), difference(got, want, files))
		}
		if last.Data.Total != int64(len(want)) || last.Data.TotalSize != fmt.Sprint(size) || last.Data.OrphanCount != orphans {
			t.Errorf("%s: totals %+v, want %d files, %d bytes, %d orphans", name, last.Data, len(want), size, orphans)
		}
	}
	var stats apiclient.FileStats
	if err := p.owner.call(t.Context(), http.MethodGet, destinationPath(id, "/files/stats"), nil, &stats); err != nil {
		t.Fatal(err)
	}
	counted := map[string]int64{}
	for _, f := range files {
		counted[f.typ]++
	}
	for typ, n := range counted {
		if stats.ByType[typ].Count != n {
			t.Errorf("stats have %d files of type %s, want %d", stats.ByType[typ].Count, typ, n)
		}
	}
}

// list lists all pages. The page size is odd, so that pages end in the middle of backups.
func (p *process) list(t *testing.T, id string, q url.Values) (files []apiclient.File, last apiclient.FilesReply) {
	t.Helper()
	q = maps.Clone(q)
	q.Set("limit", "311")
	for {
		raw, err := p.owner.raw(t.Context(), http.MethodGet, destinationPath(id, "/files?")+q.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		last = apiclient.FilesReply{}
		if err := json.Unmarshal(raw, &last); err != nil {
			t.Fatal(err)
		}
		files = append(files, last.Data.Files...)
		if last.Meta.NextCursor == "" {
			return files, last
		}
		q.Set("cursor", last.Meta.NextCursor)
	}
}

func difference(got []apiclient.File, want []string, files map[string]realFile) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("%q is missing", want[i])
		case i >= len(want):
			return fmt.Sprintf("%q is unexpected", got[i].Path)
		case got[i].Path != want[i] || got[i].IsOrphan != files[want[i]].orphan || string(got[i].Type) != files[want[i]].typ:
			return fmt.Sprintf("%+v, want %q %+v", got[i], want[i], files[want[i]])
		}
	}
	return "in the sizes"
}

// TestKilledSyncContinues kills a node during a sync, at first before a segment is recorded. After
// the last restart the sync continues and ends with all files, without listing recorded
// segments again.
func TestKilledSyncContinues(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	flags := []string{"--scan-streams", "8"}
	p := serve(t, filepath.Join(t.TempDir(), "data"), flags...)
	const n = 24_000
	keys, err := bucketserver.NewKeys(bucketserver.Tree, n)
	if err != nil {
		t.Fatal(err)
	}
	// The sync cannot end while lists of the last eighth stall.
	last := string(keys.AppendKey(nil, n/8*7))
	var stall atomic.Bool
	stall.Store(true)
	c := p.serveKeys(t, n, bucketserver.Options{PageSize: 100, Latency: 20 * time.Millisecond, Fault: func(r bucketserver.ListRequest) bucketserver.Fault {
		if stall.Load() && r.From >= last {
			return bucketserver.Stall
		}
		return bucketserver.None
	}})
	var started startedSyncs
	if err := c.owner.call(t.Context(), http.MethodPost, syncPath(c.id), nil, &started); err != nil {
		t.Fatal(err)
	}
	await(t, "the sync has listed some pages", func() bool { return c.bucket.Counts().Lists >= 10 })
	c.end(t, syscall.SIGKILL)
	c.restart(t, flags...)
	// A segment is recorded some time after its file is sealed.
	var recorded []string
	await(t, "some segments are recorded", func() bool {
		await(t, "some segments are sealed", func() bool { return len(segments(t, p.dir, c.id)) >= 4 })
		c.end(t, syscall.SIGKILL)
		recorded = recordedSegments(t, p.dir, started.SyncIDs[0])
		stall.Store(len(recorded) == 0)
		c.restart(t, flags...)
		return len(recorded) > 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended, err := c.owner.waitForSyncs(ctx, started.SyncIDs)
	if err != nil {
		t.Fatal(err)
	}
	c.verify(t, &ended[0])
	var stats apiclient.FileStats
	if err := c.owner.call(t.Context(), http.MethodGet, destinationPath(c.id, "/files/stats"), nil, &stats); err != nil {
		t.Fatal(err)
	}
	if uint64(stats.TotalFiles) != c.want.Digest.Files || stats.TotalSize != fmt.Sprint(c.want.Digest.Bytes) || uint64(stats.OrphanFiles) != c.want.OrphanTotal().Files {
		t.Errorf("stats %+v", stats)
	}

	used := segments(t, p.dir, c.id)
	for _, id := range recorded {
		if !slices.Contains(used, id) {
			t.Errorf("segment %s was recorded before the kill and is not in use", id)
		}
	}
}

// recordedSegments returns the ids of the segments with files that the catalog of a stopped node
// records for a sync.
func recordedSegments(t *testing.T, dir, syncID string) (ids []string) {
	t.Helper()
	c, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.View(func(tx *catalog.Tx) error {
		list, err := tx.Segments(syncID)
		for _, s := range list {
			if s.GetFiles() > 0 {
				ids = append(ids, s.GetId())
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

// segments returns the ids of the sealed segments of a destination.
func segments(t *testing.T, dir, id string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "index", id, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".seg")
	}
	return files
}
