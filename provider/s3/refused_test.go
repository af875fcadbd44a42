package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"firescan/provider"
)

// TestLookupWithWrongCredentials: the response to HEAD has no document, so a list shows
// whether the credentials are wrong or the permission is missing.
func TestLookupWithWrongCredentials(t *testing.T) {
	for code, want := range map[string]provider.Kind{
		"SignatureDoesNotMatch": provider.Credentials, "InvalidAccessKeyId": provider.Credentials, "ExpiredToken": provider.Credentials,
		"AccessDenied": provider.Denied, "": provider.Denied,
	} {
		a := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead || code != "" {
				w.WriteHeader(http.StatusForbidden)
			}
			if code == "" {
				fmt.Fprint(w, page(false, "key"))
			} else if r.Method == http.MethodGet {
				fmt.Fprint(w, errorDocument(code))
			}
		})
		_, err := a.Bucket("bucket").Stat(t.Context(), "key")
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || e.Kind != want || e.Op != "stat" || want == provider.Denied && !strings.Contains(e.Explain(), "s3:GetObject (HTTP 403 ") {
			t.Errorf("%q: %v, want kind %v", code, err, want)
		}
	}
}

// TestBucketsOfSomethingElse: a response that is no list of buckets is not an empty one.
func TestBucketsOfSomethingElse(t *testing.T) {
	for body, want := range map[string]struct {
		kind   provider.Kind
		reason string
	}{
		page(false, "key"):                    {provider.Forbidden, "endpoint is the address of a bucket"},
		"<html><body>It works!</body></html>": {provider.Corrupt, "no list of buckets"},
		"It works!":                           {provider.Corrupt, "no list of buckets"},
		errorDocument("SlowDown"):             {provider.Throttled, "slow down"},
		"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>": {},
	} {
		infos, err := answering(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }).Buckets(t.Context())
		if want.reason == "" {
			if err != nil || len(infos) != 0 {
				t.Errorf("%s: %v, %v", body, infos, err)
			}
			continue
		}
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != want.kind || !strings.Contains(e.Reason, want.reason) {
			t.Errorf("%.40s: %v, want %v: %s", body, err, want.kind, want.reason)
		}
	}
}
