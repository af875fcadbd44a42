package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/provider"
	"firescan/provider/mem"
)

// tryBody returns a body for the endpoints that try out credentials, with more fields.
func tryBody(fields ...string) string {
	fields = append(fields, `"provider":"s3"`, `"credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"`+secretText+`"}`)
	return "{" + strings.Join(fields, ",") + "}"
}

const inBucket = `"bucketName":"backups-bucket"`

// tryPaths are the endpoints that try out credentials, with the fields that each
// requires.
var tryPaths = map[string]string{
	"/api/v1/storage/connect":                tryBody(),
	"/api/v1/storage/buckets/create":         tryBody(`"bucketName":"new-bucket"`),
	"/api/v1/storage/buckets/verify":         tryBody(inBucket),
	"/api/v1/storage/buckets/folders":        tryBody(inBucket),
	"/api/v1/storage/buckets/folders/create": tryBody(inBucket, `"folderName":"a/b"`),
}

func TestConnect(t *testing.T) {
	r := newRig(t, mem.Options{Now: func() time.Time { return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) }})
	a := r.owner("POST", "/api/v1/storage/connect", tryBody(`"region":"us-east-1"`))
	if a.at("data", "provider") != "S3" || a.at("message") != "Connected to S3 and found 1 bucket" ||
		a.at("data", "buckets", 0, "name") != "backups-bucket" || a.at("data", "buckets", 0, "createdAt") != "2024-01-01T00:00:00.000Z" {
		t.Errorf("%s", a.raw)
	}
	if fmt.Sprint(r.tried) != "map[accessKeyId:AKIAIOSFODNN7EXAMPLE secretAccessKey:"+secretText+"]" {
		t.Errorf("opened with %v", r.tried)
	}
	r.owner("POST", "/api/v1/storage/buckets/create", tryBody(`"bucketName":"another-bucket","region":"eu-west-1"`))
	a = r.owner("POST", "/api/v1/storage/connect", tryBody())
	if a.at("message") != "Connected to S3 and found 2 buckets" || a.at("data", "buckets", 0, "region") != "eu-west-1" {
		t.Errorf("%s", a.raw)
	}
	empty := newRig(t, mem.Options{})
	empty.account = mem.New(mem.Options{})
	if a := empty.owner("POST", "/api/v1/storage/connect", tryBody()); a.at("message") != "Connected to S3 and found 0 buckets" || len(a.at("data", "buckets").([]any)) != 0 {
		t.Errorf("%s", a.raw)
	}
}

// TestTryValidates sends invalid fields to each endpoint.
func TestTryValidates(t *testing.T) {
	r := newRig(t, mem.Options{})
	for path, good := range tryPaths {
		with := func(old, now string) string { return strings.Replace(good, old, now, 1) }
		for body, field := range map[string]string{
			`{}`:                                   "provider",
			with(`"s3"`, `"ftp"`):                  "provider",
			with(`"s3"`, `7`):                      "provider",
			with(secretText, ``):                   "credentials.secretAccessKey",
			with(`"`+secretText+`"`, `["x"]`):      "credentials.secretAccessKey",
			with(`{`, `{"region":"us east",`):      "region",
			with(`{`, `{"endpoint":"http://no",`):  "endpoint",
			with(`{`, `{"shade":"red",`):           "shade",
			`{"provider":"s3","credentials":"key"`: "body",
			``:                                     "body",
		} {
			f := r.do(catalog.RoleOwner, "POST", path, body).refused(400, CodeValidation)
			if f[field] == nil || field == "endpoint" && f[field] != "is not allowed: start the node with --allow-endpoint" {
				t.Errorf("%s %s: the fields %v do not name %s", path, body, f, field)
			}
		}
		if strings.Contains(path, "connect") {
			f := r.do(catalog.RoleOwner, "POST", path, tryBody(inBucket)).refused(400, CodeValidation)
			if f["bucketName"] == nil {
				t.Errorf("%s takes a bucket: %v", path, f)
			}
			continue
		}
		for _, bucket := range []string{"", "Bad Bucket", "a..b", "a/b", "\\u0000aa"} {
			body := strings.Replace(strings.Replace(good, "backups-bucket", bucket, 1), "new-bucket", bucket, 1)
			if f := r.do(catalog.RoleOwner, "POST", path, body).refused(400, CodeValidation); f["bucketName"] == nil {
				t.Errorf("%s with bucket %q: %v", path, bucket, f)
			}
		}
	}
	if f := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/buckets/verify", tryBody(inBucket, `"folderName":"a"`)).refused(400, CodeValidation); f["folderName"] == nil {
		t.Errorf("verify takes a folder: %v", f)
	}
	if r.tried != nil {
		t.Error("an account was opened for a request that is not valid")
	}
}

// TestProviderFailures has each kind of provider failure at each endpoint.
func TestProviderFailures(t *testing.T) {
	for _, c := range []struct {
		kind   provider.Kind
		status int
		code   Code
	}{
		{provider.Credentials, 400, CodeCredentials},
		{provider.NoBucket, 404, CodeBucketNotFound},
		{provider.Unavailable, 502, CodeProvider},
		{provider.Throttled, 502, CodeProvider},
		{provider.Corrupt, 502, CodeProvider},
		{provider.Forbidden, 400, CodeValidation},
		{provider.Invalid, 400, CodeValidation},
	} {
		r := newRig(t, mem.Options{Faults: mem.Broken(c.kind)})
		for path, body := range tryPaths {
			a := r.do(catalog.RoleOwner, "POST", path, body)
			a.refused(c.status, c.code)
			switch c.kind {
			case provider.Credentials:
				if a.at("error", "message") != "Failed to connect to storage provider" ||
					fmt.Sprint(a.at("error", "details")) != "map[provider:S3 reason:injected]" {
					t.Errorf("%s: %s", path, a.raw)
				}
			case provider.NoBucket:
				if m, _ := a.at("error", "message").(string); !strings.HasSuffix(m, "' does not exist or is not accessible") {
					t.Errorf("%s: %s", path, a.raw)
				}
			}
		}
		if strings.Contains(r.log.String(), secretText) {
			t.Error("the secret is in the log")
		}
	}
	r := newRig(t, mem.Options{})
	r.openErr = &provider.Error{Kind: provider.Credentials, Op: "connect", Reason: "the key file is not one"}
	for path, body := range tryPaths {
		r.do(catalog.RoleOwner, "POST", path, body).refused(400, CodeCredentials)
	}
}

// TestTriedCredentialsAreNotStored searches for the secret wherever it could be.
func TestTriedCredentialsAreNotStored(t *testing.T) {
	r := newRig(t, mem.Options{})
	before := r.catalog.AppliedIndex()
	for path, body := range tryPaths {
		a := r.owner("POST", path, body)
		for _, secret := range []string{secretText, "AKIAIOSFODNN7EXAMPLE"} {
			if strings.Contains(string(a.raw)+r.log.String(), secret) {
				t.Errorf("%s: %s is in the response or the log", path, secret)
			}
		}
	}
	if got := r.catalog.AppliedIndex(); got != before {
		t.Errorf("trying wrote %d commands", got-before)
	}
}

func TestAProviderThatDoesNotAnswer(t *testing.T) {
	r := newRig(t, mem.Options{Faults: mem.Faults{Buckets: func(ctx context.Context, _, _ string) error {
		return fmt.Errorf("ask: %w", context.DeadlineExceeded)
	}}})
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/connect", tryBody()).refused(http.StatusBadGateway, CodeProvider)
}
