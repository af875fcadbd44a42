package bucketserver

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parseTime(t rapid.TB, text string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix()
}

// client starts a server and returns an SDK client for it.
func client(t *testing.T, opts Options, accessKey string) (*Server, *s3.Client) {
	t.Helper()
	s := New(opts)
	address, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, s3.New(s3.Options{
		BaseEndpoint: &address, UsePathStyle: true, Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, "secret", ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
}

func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func TestObjectsThroughTheSDK(t *testing.T) {
	s, c := client(t, Options{Keys: mustKeys(t, Flat, 2000)}, "any")
	ctx, bucket := t.Context(), aws.String(s.Bucket())

	// A computed object: HEAD, GET and a range agree.
	key := aws.String(string(s.opts.Keys.AppendKey(nil, 0)))
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	whole := read(t, c, &s3.GetObjectInput{Bucket: bucket, Key: key})
	if int64(len(whole)) != *head.ContentLength {
		t.Errorf("%d bytes, HEAD returned %d", len(whole), *head.ContentLength)
	}
	if part := read(t, c, &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=13-100")}); !bytes.Equal(part, whole[13:101]) {
		t.Error("a range differs from the same part of the whole")
	}

	// A put object can be read and listed, and is gone after its delete.
	probe := aws.String("probe & <é> +%/1")
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: probe, Body: strings.NewReader("canary")}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, &s3.GetObjectInput{Bucket: bucket, Key: probe}); string(got) != "canary" {
		t.Errorf("read back %q", got)
	}
	list, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("probe")})
	if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != *probe {
		t.Errorf("listed %v, %v", list, err)
	}
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: probe, IfMatch: aws.String(`"beef"`)}); code(err) != "PreconditionFailed" {
		t.Errorf("delete with a wrong ETag: %v", err)
	}
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: probe}); err != nil {
		t.Error(err)
	}
	if _, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: probe}); code(err) != "NotFound" {
		t.Errorf("HEAD of a deleted object: %v", err)
	}

	// A batch delete with one wrong ETag.
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: key, ETag: head.ETag},
		{Key: aws.String(string(s.opts.Keys.AppendKey(nil, 1))), ETag: aws.String("beef")},
		{Key: aws.String("never/was")},
	}}})
	if err != nil || len(out.Deleted) != 2 || len(out.Errors) != 1 {
		t.Errorf("batch: %+v, %v", out, err)
	}
	if list, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket}); err != nil || *list.Contents[0].Key == *key {
		t.Errorf("the deleted object is still listed: %v", err)
	}
}

func read(t *testing.T, c *s3.Client, in *s3.GetObjectInput) []byte {
	t.Helper()
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucketsThroughTheSDK(t *testing.T) {
	s, c := client(t, Options{Keys: mustKeys(t, Tree, 10), Bucket: "mine"}, "any")
	ctx := t.Context()
	buckets, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(buckets.Buckets) != 1 || *buckets.Buckets[0].Name != s.Bucket() {
		t.Errorf("buckets %+v, %v", buckets, err)
	}
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("mine")}); err != nil {
		t.Error(err)
	}
	if _, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: aws.String("mine")}); err != nil {
		t.Error(err)
	}
	if _, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("yours")}); code(err) != "NoSuchBucket" {
		t.Errorf("another bucket: %v", err)
	}
}

func TestAccessKey(t *testing.T) {
	for _, tc := range []struct{ given, want string }{{"AKIAGOOD", ""}, {"AKIABAD", "InvalidAccessKeyId"}} {
		_, c := client(t, Options{Keys: mustKeys(t, Flat, 10), AccessKey: "AKIAGOOD"}, tc.given)
		_, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("bench-bucket")})
		if code(err) != tc.want {
			t.Errorf("%s: %v, want %q", tc.given, err, tc.want)
		}
	}
	w := httptest.NewRecorder()
	New(Options{Keys: mustKeys(t, Flat, 10), AccessKey: "AKIAGOOD"}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusForbidden {
		t.Errorf("unsigned: %d", w.Code)
	}
}

func TestRateLimit(t *testing.T) {
	s := New(Options{Keys: mustKeys(t, Flat, 10), Rate: 10})
	refused := 0
	for range 50 {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/bench-bucket", nil))
		if w.Code == http.StatusServiceUnavailable && strings.Contains(w.Body.String(), "SlowDown") {
			refused++
		}
	}
	if refused == 0 || uint64(refused) != s.Counts().Throttled {
		t.Errorf("%d of 50 refused at once, counted %d", refused, s.Counts().Throttled)
	}
}

// Each fault has the documented effect on a client.
func TestFaults(t *testing.T) {
	keys := mustKeys(t, Flat, 5000)
	var fault atomic.Uint32
	s := New(Options{Keys: keys, Fault: func(ListRequest) Fault { return Fault(fault.Load()) }})
	address, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	after := string(keys.AppendKey(nil, 2000))
	page := func(ctx context.Context, f Fault) (int, result, error) {
		fault.Store(uint32(f))
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, address+"/bench-bucket?list-type=2&start-after="+after, nil)
		resp, err := hc.Do(req)
		if err != nil {
			return 0, result{}, err
		}
		defer func() { _ = resp.Body.Close() }()
		var r result
		b, err := io.ReadAll(resp.Body)
		if err == nil {
			err = xml.Unmarshal(b, &r)
		}
		return resp.StatusCode, r, err
	}
	sorted := func(r result) bool {
		for i := 1; i < len(r.Contents); i++ {
			if r.Contents[i-1].Key >= r.Contents[i].Key {
				return false
			}
		}
		return true
	}
	for _, tc := range []struct {
		fault Fault
		ok    func(status int, r result, err error) bool
	}{
		{None, func(st int, r result, err error) bool {
			return st == 200 && err == nil && len(r.Contents) == 1000 && r.IsTruncated && sorted(r)
		}},
		{SlowDown, func(st int, _ result, _ error) bool { return st == 503 }},
		{ServerError, func(st int, _ result, _ error) bool { return st == 500 }},
		{Reset, func(_ int, _ result, err error) bool { return err != nil }},
		{Stall, func(_ int, _ result, err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		{Truncated, func(st int, _ result, err error) bool {
			_, syntax := errors.AsType[*xml.SyntaxError](err)
			return st == 200 && syntax
		}},
		{Empty, func(st int, _ result, err error) bool { return st == 200 && errors.Is(err, io.EOF) }},
		{NoToken, func(_ int, r result, err error) bool {
			return err == nil && r.IsTruncated && r.NextContinuationToken == ""
		}},
		{Repeated, func(_ int, r result, err error) bool { return err == nil && r.Contents[0].Key < after }},
		{Unsorted, func(_ int, r result, err error) bool {
			return err == nil && len(r.Contents) == 1000 && !sorted(r)
		}},
	} {
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		if tc.fault == Stall {
			ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
		}
		if st, r, err := page(ctx, tc.fault); !tc.ok(st, r, err) {
			t.Errorf("%s: status %d, %d keys, %v", tc.fault, st, len(r.Contents), err)
		}
		cancel()
		if f, ok := ParseFault(tc.fault.String()); !ok || f != tc.fault {
			t.Errorf("ParseFault(%q) = %v, %v", tc.fault, f, ok)
		}
	}
	if got := s.Counts().Faults; got != uint64(numFaults)-1 {
		t.Errorf("%d faults counted", got)
	}
}

func TestChanceShares(t *testing.T) {
	f := Chance(7, map[Fault]float64{SlowDown: 0.1, Empty: 0.02})
	var n [numFaults]int
	for range 20_000 {
		n[f(ListRequest{})]++
	}
	if n[SlowDown] < 1800 || n[SlowDown] > 2200 || n[Empty] < 320 || n[Empty] > 480 || n[None]+n[SlowDown]+n[Empty] != 20_000 {
		t.Errorf("20000 requests: %v", n)
	}
}

func TestUnchunk(t *testing.T) {
	for framed, want := range map[string]string{
		"0\r\n\r\n": "",
		"3;chunk-signature=ab\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n": "abcde",
	} {
		if got, err := unchunk([]byte(framed)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", framed, got, err)
		}
	}
	for _, framed := range []string{"", "zz\r\n", "9\r\nabc", "abc"} {
		if got, err := unchunk([]byte(framed)); err == nil {
			t.Errorf("%q: accepted as %q", framed, got)
		}
	}
}

func TestComputedContentSeeks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, 5000).Draw(t, "size")
		whole, err := io.ReadAll(&computed{seed: 5, size: size})
		if err != nil || int64(len(whole)) != size {
			t.Fatalf("%d bytes of %d: %v", len(whole), size, err)
		}
		c := &computed{seed: 5, size: size}
		off := rapid.Int64Range(0, size).Draw(t, "offset")
		if _, err := c.Seek(off-size, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(c); !bytes.Equal(rest, whole[off:]) {
			t.Fatal("content after a seek differs from the same part of the whole")
		}
	})
}

func BenchmarkServe(b *testing.B) {
	s := New(Options{Keys: mustKeys(b, Flat, 1_000_000)})
	address, err := s.Start("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i := uint64(0); b.Loop(); i++ {
		resp, err := http.Get(address + "/bench-bucket?list-type=2&start-after=" + string(s.opts.Keys.AppendKey(nil, i*1000%999_000)))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}
