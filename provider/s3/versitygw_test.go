package s3_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"firescan/provider"
	"firescan/provider/providertest"
	"firescan/provider/providertest/versitygw"
	"firescan/provider/s3"
)

func TestConformanceVersityGW(t *testing.T) {
	endpoint, id, secret := versitygw.Start(t)
	for name, flavor := range map[string]*s3.Flavor{"S3": s3.Compatible, "do-spaces": s3.Spaces, "Amazon": s3.Amazon} {
		t.Run(name, func(t *testing.T) { conform(t, flavor, endpoint, id, secret) })
	}
}

var buckets atomic.Int64

func conform(t *testing.T, flavor *s3.Flavor, endpoint, id, secret string) {
	t.Helper()
	open := func(t *testing.T) (provider.Account, string) {
		t.Helper()
		a := dialAs(t, flavor, endpoint, id, secret)
		name := fmt.Sprintf("bucket-%d", buckets.Add(1))
		if err := a.CreateBucket(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
		return a, name
	}
	providertest.Run(t, open, providertest.Quirks{
		Unfit:                 unfitForFiles,
		IgnoresBatchCondition: true,
		Stranger: func(t *testing.T) provider.Account {
			t.Helper()
			return dialAs(t, flavor, endpoint, "nobody", secret)
		},
		ReadOnly: func(t *testing.T, bucket string) provider.Account {
			t.Helper()
			reader := fmt.Sprintf("reader-%d", buckets.Add(1))
			versitygw.AddUser(t, endpoint, reader, "reader-secret")
			allow(t, endpoint, id, secret, bucket, reader, "s3:ListBucket", "s3:GetObject")
			return dialAs(t, flavor, endpoint, reader, "reader-secret")
		},
	})
}

// allow puts a policy on a bucket that lets a user do some things.
func allow(t *testing.T, endpoint, id, secret, bucket, user string, actions ...string) {
	t.Helper()
	client := awss3.New(awss3.Options{
		Region: s3.DefaultRegion, BaseEndpoint: &endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":[%q]},"Action":["%s"],"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`,
		user, strings.Join(actions, `","`), bucket, bucket)
	if _, err := client.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
}

// TestPermissionsVersityGW tries every set of permissions that a policy can give.
func TestPermissionsVersityGW(t *testing.T) {
	endpoint, id, secret := versitygw.Start(t)
	owner := dial(t, endpoint, id, secret)
	for n, c := range []struct {
		actions []string
		want    provider.Permissions
	}{
		{[]string{"s3:ListBucket"}, provider.Permissions{Read: true}},
		{[]string{"s3:ListBucket", "s3:GetObject", "s3:PutObject"}, provider.Permissions{Read: true, Write: true}},
		{[]string{"s3:ListBucket", "s3:DeleteObject"}, provider.Permissions{Read: true, Delete: true}},
		{[]string{"s3:PutObject", "s3:DeleteObject"}, provider.Permissions{Write: true, Delete: true}},
		{[]string{"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}, provider.Permissions{Read: true, Write: true, Delete: true}},
		// What cannot be read back is not read, though it may be listed.
		{[]string{"s3:ListBucket", "s3:PutObject", "s3:DeleteObject"}, provider.Permissions{Write: true, Delete: true}},
	} {
		bucket, user := fmt.Sprintf("bucket-%d", n), fmt.Sprintf("user-%d", n)
		if err := owner.CreateBucket(t.Context(), bucket, ""); err != nil {
			t.Fatal(err)
		}
		versitygw.AddUser(t, endpoint, user, "user-secret")
		allow(t, endpoint, id, secret, bucket, user, c.actions...)
		got, err := provider.Probe(t.Context(), dial(t, endpoint, user, "user-secret").Bucket(bucket), "")
		if err != nil || got != c.want {
			t.Errorf("%q: permissions %+v, %v; want %+v", c.actions, got, err, c.want)
		}
		// A probe that could be written and not be deleted is all that may be left.
		var page provider.Page
		if err := owner.Bucket(bucket).List(t.Context(), provider.ListRequest{}, &page); err != nil {
			t.Fatal(err)
		}
		if left := len(page.Objects); left > 1 || left == 1 && (got.Delete || !got.Write) {
			t.Errorf("%q: %d objects are left", c.actions, left)
		}
	}
}

// unfitForFiles returns the keys that have no place in a tree of files.
func unfitForFiles(key string) bool {
	switch key {
	case "0", "a", "a/b": // these are directories already: "0/0", "a/b/c"
		return true
	}
	for name := range strings.SplitSeq(key, "/") {
		if name == "" || name == "." || name == ".." || len(name) > 255 {
			return true
		}
	}
	// It writes these as U+FFFD, and has no encoding-type that would spare it.
	return strings.ContainsAny(key, "\x01\x1f")
}

func TestWrongSecret(t *testing.T) {
	endpoint, id, _ := versitygw.Start(t)
	_, err := dial(t, endpoint, id, "not the secret").Buckets(t.Context())
	if provider.KindOf(err) != provider.Credentials || strings.Contains(err.Error(), "not the secret") {
		t.Errorf("error %v", err)
	}
}
