package gcs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"firescan/provider"
	"firescan/provider/gcs"
)

// withBucket is google with one bucket.
func withBucket() *google {
	g := newGoogle()
	g.buckets["bucket"] = map[string]object{}
	return g
}

func list(ctx context.Context, a provider.Account) error {
	return a.Bucket("bucket").List(ctx, provider.ListRequest{}, &provider.Page{})
}

// TestOneTokenForAll checks that calls that begin together, and those after them, share a
// token.
func TestOneTokenForAll(t *testing.T) {
	g := withBucket()
	a := signedIn(t, g)
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if err := list(t.Context(), a); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if err := a.Bucket("bucket").Put(t.Context(), "key", []byte("body")); err != nil {
		t.Error(err)
	}
	if n := g.requests["POST oauth2.googleapis.com"]; n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
}

// TestTokensAreRenewed before they end: one with a minute left is not used again.
func TestTokensAreRenewed(t *testing.T) {
	g := withBucket()
	g.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Host != "oauth2.googleapis.com" {
			return false
		}
		if agent := r.UserAgent(); agent != "firescan" {
			t.Errorf("user agent %q", agent)
		}
		token := fmt.Sprint("short-", len(g.tokens))
		g.tokens[token] = time.Now().Add(time.Minute)
		fmt.Fprintf(w, `{"access_token":%q,"expires_in":60}`, token)
		return true
	}
	a := signedIn(t, g)
	for range 3 {
		if err := list(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.requests["POST oauth2.googleapis.com"]; n != 3 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestSigningInFails(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   provider.Kind
		reason string
	}{
		{400, `{"error":"invalid_grant","error_description":"` + secret + `"}`, provider.Credentials, "clock"},
		{401, `{"error":"unauthorized_client"}`, provider.Credentials, "sign the service account in"},
		{400, secret, provider.Credentials, "sign the service account in"},
		{429, "", provider.Throttled, "slow down"},
		{503, "<html>" + secret, provider.Unavailable, "failed"},
		{302, "", provider.Credentials, "sign"},
		{200, "", provider.Corrupt, "no access token"},
		{200, "<html>" + secret, provider.Corrupt, "no access token"},
		{200, `{"access_token":"","expires_in":3600}`, provider.Corrupt, "no access token"},
		{200, `{"access_token":"x"}`, provider.Corrupt, "no access token"},
	} {
		g := withBucket()
		g.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Host == "oauth2.googleapis.com" {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
				return true
			}
			t.Error("a request without a token")
			return false
		}
		a := signedIn(t, g)
		_, buckets := a.Buckets(t.Context())
		for op, err := range map[string]error{
			"list": list(t.Context(), a), "put": a.Bucket("bucket").Put(t.Context(), "k", []byte("b")), "buckets": buckets,
		} {
			e, ok := errors.AsType[*provider.Error](err)
			if !ok || e.Kind != c.want || e.Op != op || !strings.Contains(e.Explain(), c.reason) {
				t.Errorf("%d %s: %s: %v, want kind %v and %q in it", c.status, c.body, op, err, c.want, c.reason)
				continue
			}
			if said := fmt.Sprint(e, e.Err); strings.Contains(said, secret) || strings.Contains(said, "eyJ") {
				t.Errorf("the error says too much: %s", said)
			}
		}
		// Streams that fail together ask once.
		if n := g.requests["POST oauth2.googleapis.com"]; n > 2 {
			t.Errorf("%d: signing in was tried %d times", c.status, n)
		}
	}
}

// TestSigningInIsGivenUp with the call that needs it, and the next call signs in.
func TestSigningInIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := withBucket()
	inner := g.client(t)
	waits := true
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if waits && r.URL.Host == "oauth2.googleapis.com" {
			cancel()
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return inner.Transport.RoundTrip(r)
	})}
	a, err := gcs.New(gcs.Config{Key: keyJSON(nil), HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	if err := list(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	waits = false
	if err := list(t.Context(), a); err != nil {
		t.Errorf("after a call that was given up: %v", err)
	}
}

// TestTokensStayAtGoogle checks that neither an emulator nor whoever Google's answer
// points to gets to see a token, and nothing of the environment makes the library ask
// elsewhere.
func TestTokensStayAtGoogle(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json")
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
	g := withBucket()
	g.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Host == "storage.googleapis.com" {
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	inner := g.client(t)
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		google := r.URL.Host == "storage.googleapis.com" || r.URL.Host == "oauth2.googleapis.com"
		if !google && r.URL.Host != "emulator.example:4443" || !google && r.Header.Get("Authorization") != "" {
			t.Errorf("a request to %s, with authorization %v", r.URL.Host, r.Header.Get("Authorization") != "")
		}
		return inner.Transport.RoundTrip(r)
	})}
	for _, endpoint := range []string{"", "http://emulator.example:4443"} {
		if endpoint != "" {
			inner.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("no emulator") })
		}
		a, err := gcs.New(gcs.Config{Key: keyJSON(nil), Endpoint: endpoint, HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		_, buckets := a.Buckets(t.Context())
		_, stat := a.Bucket("bucket").Stat(t.Context(), "key")
		for _, err := range []error{
			buckets, stat, list(t.Context(), a), a.Bucket("bucket").Put(t.Context(), "key", []byte("body")),
			a.Bucket("bucket").Delete(t.Context(), "key", ""), a.CreateBucket(t.Context(), "another", ""),
		} {
			if err == nil {
				t.Error("a call succeeded")
			}
		}
	}
}
