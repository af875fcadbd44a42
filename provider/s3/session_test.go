package s3_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"firescan/provider"
	"firescan/provider/s3"
)

const sessionToken = "FwoGZXIvYXdzECANARY/session+token=="

// withSession returns an account with temporary credentials at a server with that handler.
func withSession(t *testing.T, token string, handler http.HandlerFunc) provider.Account {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	a, err := s3.New(s3.Config{
		Endpoint: server.URL, AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: secret, SessionToken: token, PathStyle: true, HTTPClient: server.Client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// eachCall makes every call of an account.
func eachCall(t *testing.T, a provider.Account) map[string]error {
	t.Helper()
	ctx, b := t.Context(), a.Bucket("bucket")
	_, buckets := a.Buckets(ctx)
	_, stat := b.Stat(ctx, "key")
	return map[string]error{
		"buckets": buckets, "create bucket": a.CreateBucket(ctx, "bucket", ""), "stat": stat,
		"list": b.List(ctx, provider.ListRequest{}, &provider.Page{}), "put": b.Put(ctx, "key", []byte("x")),
		"delete": b.Delete(ctx, "key", ""), "delete batch": b.DeleteBatch(ctx, []provider.Deletion{{Key: "key"}})[0],
	}
}

// TestSessionToken: every request has the session token, and signs it.
func TestSessionToken(t *testing.T) {
	for _, token := range []string{sessionToken, ""} {
		requests := 0
		eachCall(t, withSession(t, token, func(w http.ResponseWriter, r *http.Request) {
			requests++
			if got := r.Header.Get("X-Amz-Security-Token"); got != token {
				t.Errorf("%s %s has the token %q, want %q", r.Method, r.URL, got, token)
			}
			if strings.Contains(r.Header.Get("Authorization"), "x-amz-security-token") != (token != "") {
				t.Errorf("%s %s signs %s", r.Method, r.URL, r.Header.Get("Authorization"))
			}
			w.WriteHeader(http.StatusForbidden)
		}))
		if requests < 7 {
			t.Errorf("%d requests", requests)
		}
	}
}

// TestExpiredSession: errors name the session token, and what to do, whatever the call is.
func TestExpiredSession(t *testing.T) {
	for code, status := range map[string]int{
		"ExpiredToken": 400, "ExpiredTokenException": 403, "TokenRefreshRequired": 400, "InvalidToken": 400, "InvalidTokenId": 403, "RequestExpired": 403,
	} {
		a := withSession(t, sessionToken, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			if r.Method != http.MethodHead {
				_, _ = w.Write([]byte(strings.ReplaceAll(errorDocument(code), secret, sessionToken)))
			}
		})
		for call, err := range eachCall(t, a) {
			e, ok := errors.AsType[*provider.Error](err)
			if !ok || e.Kind != provider.Credentials || !strings.Contains(e.Reason, "session token has expired") || !strings.Contains(e.Reason, "give new temporary credentials") {
				t.Errorf("%s with %s: %v", call, code, err)
			}
			for _, text := range everyTextOf(err) {
				if strings.Contains(text, "CANARY") {
					t.Errorf("%s with %s shows the token: %s", call, code, text)
				}
			}
		}
	}
}
