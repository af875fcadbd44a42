package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"firescan/bench/bucketserver"
)

// lateKey is the file whose deletion a lateServer carries out late.
const lateKey = "late/k.backup"

// A lateServer is a bucket in front of which the first call that deletes lateKey is held: it is
// carried out later, whatever has become of its client.
type lateServer struct {
	bucket *bucketserver.Server
	store  *store
	url    string
	hold   time.Duration
	cut    bool          // the connection of the call is cut at once
	held   chan struct{} // closed when the call has arrived
	acted  chan struct{} // closed when it was carried out
	first  sync.Once
}

func newLateServer(t *testing.T, hold time.Duration, cut bool) *lateServer {
	t.Helper()
	keys, err := bucketserver.NewKeys(bucketserver.Tree, 10)
	if err != nil {
		t.Fatal(err)
	}
	l := &lateServer{
		bucket: bucketserver.New(bucketserver.Options{Keys: keys, Bucket: "backups"}),
		hold:   hold, cut: cut, held: make(chan struct{}), acted: make(chan struct{}),
	}
	front := httptest.NewServer(l)
	t.Cleanup(front.Close)
	t.Cleanup(front.CloseClientConnections)
	l.url = front.URL
	l.store = &store{bucket: "backups", client: s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(front.URL), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "secret", ""), HTTPClient: front.Client(),
	})}
	return l
}

func (l *lateServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	deletes := r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, lateKey) ||
		r.Method == http.MethodPost && r.URL.Query().Has("delete") && bytes.Contains(body, []byte(lateKey))
	held := false
	if deletes {
		l.first.Do(func() { held = true })
	}
	if !held {
		l.bucket.ServeHTTP(w, r)
		return
	}
	close(l.held)
	late := r.Clone(context.WithoutCancel(r.Context()))
	late.Body = io.NopCloser(bytes.NewReader(body))
	act := func() {
		l.bucket.ServeHTTP(httptest.NewRecorder(), late)
		close(l.acted)
	}
	if l.cut {
		time.AfterFunc(l.hold, act)
		panic(http.ErrAbortHandler)
	}
	time.Sleep(l.hold)
	act()
}

func (l *lateServer) has(t *testing.T) bool {
	t.Helper()
	return slices.Contains(l.store.keys(t), lateKey)
}

// upload puts the file, each time with the same content: the ETag is no proof.
func (l *lateServer) upload(t *testing.T) {
	t.Helper()
	l.store.put(t, map[string]int{lateKey: 7})
}

// TestCutDelete (P14): the server cuts the connection of the first call that deletes a file, and
// carries it out after its retry succeeded and the file was uploaded again. No record of the
// file is acknowledged before that.
func TestCutDelete(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	l := newLateServer(t, 4*time.Second, true)
	l.upload(t)
	p := serve(t, t.TempDir())
	id := p.connect(t, "backups", l.url, "AKIATEST", "secret")
	p.sync(t, id)
	if err := p.owner.call(t.Context(), http.MethodDelete, destinationPath(id, "/files"), map[string]string{"path": lateKey}, nil); err != nil {
		t.Fatalf("the deletion with a retry: %v", err)
	}
	<-l.held
	l.upload(t)
	refused := func(when string) {
		t.Helper()
		if err := p.putBackup(t, "bkp", id, lateKey); !isCode(err, "PATH_BEING_DELETED") {
			t.Errorf("a record %s: %v, want PATH_BEING_DELETED", when, err)
		}
	}
	refused("after the retried deletion")
	if !l.has(t) {
		t.Fatal("the held call was carried out too early for this test")
	}
	<-l.acted
	if l.has(t) {
		t.Error("the held call deleted nothing: the test shows nothing")
	}
	refused("after the held call, which the node did not see")
	if err := p.putBackup(t, "other", id, "late/other.backup"); err != nil {
		t.Errorf("a record of another file: %v", err)
	}
}

// TestHeldDelete (P15): the node is killed while the server holds a call that deletes a file,
// and started again. A record of the file is refused until long after the ten seconds that
// marks were once trusted for.
func TestHeldDelete(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	l := newLateServer(t, 8*time.Second, false)
	l.upload(t)
	p := serve(t, t.TempDir())
	id := p.connect(t, "backups", l.url, "AKIATEST", "secret")
	p.sync(t, id)
	ctx, cancel := context.WithCancel(t.Context())
	deleted := make(chan error, 1)
	go func() {
		deleted <- p.owner.call(ctx, http.MethodDelete, destinationPath(id, "/files"), map[string]string{"path": lateKey}, nil)
	}()
	<-l.held
	p.end(t, syscall.SIGKILL)
	cancel()
	if err := <-deleted; err == nil {
		t.Error("the deletion of a killed node succeeded")
	}

	p = serve(t, p.dir)
	for end := time.Now().Add(11 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err := p.putBackup(t, "bkp", id, lateKey); !isCode(err, "PATH_BEING_DELETED") {
			t.Fatalf("a record while a call may still act: %v, want PATH_BEING_DELETED", err)
		}
	}
	<-l.acted
	if l.has(t) {
		t.Error("the held call deleted nothing: the test shows nothing")
	}
}

// TestClocksDiffer (P18): the server's clock is two hours behind. A file that was uploaded a
// moment ago looks old enough; the cleanup is refused with the difference.
func TestClocksDiffer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	const behind = 2 * time.Hour
	keys, err := bucketserver.NewKeys(bucketserver.Tree, 100)
	if err != nil {
		t.Fatal(err)
	}
	bucket := bucketserver.New(bucketserver.Options{Keys: keys, Bucket: "backups"})
	modified := regexp.MustCompile(`<LastModified>([^<]*)</LastModified>`)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		bucket.ServeHTTP(answer, r)
		h := w.Header()
		for name, values := range answer.Header() {
			h[name] = values
		}
		if at, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
			h.Set("Last-Modified", at.Add(-behind).UTC().Format(http.TimeFormat))
		}
		h.Set("Date", time.Now().Add(-behind).UTC().Format(http.TimeFormat))
		h.Del("Content-Length")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(modified.ReplaceAllFunc(answer.Body.Bytes(), func(element []byte) []byte {
			at, err := time.Parse(time.RFC3339, string(modified.FindSubmatch(element)[1]))
			if err != nil {
				return element
			}
			return []byte("<LastModified>" + at.Add(-behind).Format("2006-01-02T15:04:05.000Z") + "</LastModified>")
		}))
	}))
	defer front.Close()
	l := &lateServer{store: &store{bucket: "backups", client: s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(front.URL), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "secret", ""), HTTPClient: front.Client(),
	})}}
	p := serve(t, t.TempDir())
	id := p.connect(t, "backups", front.URL, "AKIATEST", "secret")
	var lines bytes.Buffer
	if err := keys.WriteRecords(&lines, bucketserver.Catalog{StorageID: id}); err != nil {
		t.Fatal(err)
	}
	response, err := p.service.stream(t.Context(), http.MethodPost, "/api/v1/catalog/import", "application/x-ndjson", &lines)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Close()
	l.upload(t)
	p.sync(t, id)
	err = p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/cleanup-orphans"), nil, nil)
	if err == nil || !regexp.MustCompile(`2h0m|1h59m5`).MatchString(err.Error()) {
		t.Errorf("a cleanup with clocks that differ by two hours: %v", err)
	}
	if !l.has(t) {
		t.Error("the file that was uploaded a moment ago is gone")
	}
}
