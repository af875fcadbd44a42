package s3_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"firescan/provider"
	"firescan/provider/providertest"
	"firescan/provider/providertest/versitygw"
)

func TestConformanceVersityGW(t *testing.T) {
	endpoint, id, secret := versitygw.Start(t)
	var buckets atomic.Int64
	open := func(t *testing.T) (provider.Account, string) {
		t.Helper()
		a := dial(t, endpoint, id, secret)
		name := fmt.Sprintf("bucket-%d", buckets.Add(1))
		if err := a.CreateBucket(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
		return a, name
	}
	providertest.Run(t, open, providertest.Quirks{
		Unfit: unfitForFiles,
		Stranger: func(t *testing.T) provider.Account {
			t.Helper()
			return dial(t, endpoint, "nobody", secret)
		},
	})
}

// unfitForFiles tells the keys that have no place in a tree of files.
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
