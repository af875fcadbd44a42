package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"cloud.google.com/go/storage"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"firescan/provider"
)

const (
	// early is how long before its expiry a token is no longer used.
	early = 2 * time.Minute
	// calm is how long a failed exchange is not repeated: all streams of a scan need a token
	// at the same moment.
	calm = time.Second
)

// authorizer signs requests to Cloud Storage, and refuses any other.
type authorizer struct {
	next   http.RoundTripper
	tokens *tokens
}

// RoundTrip sends a request with an access token.
func (a *authorizer) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := "", errStray
	if request.URL.Scheme == "https" && request.URL.Host == googleHost {
		token, err = a.tokens.get(request.Context())
	}
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+token)
	return a.next.RoundTrip(request)
}

// tokens are the access tokens of one service account. One is fetched when a call needs
// it, in the time that the call has, and shared by all calls.
type tokens struct {
	config jwt.Config
	client *http.Client

	current  atomic.Pointer[oauth2.Token]
	fetching chan struct{} // held while a token is fetched; guards what follows
	failure  error
	failedAt time.Time
}

func newTokens(k *key, client *http.Client) *tokens {
	return &tokens{
		config: jwt.Config{
			Email: k.email, PrivateKey: k.private, PrivateKeyID: k.id,
			Scopes: []string{storage.ScopeReadWrite}, TokenURL: tokenURL,
		},
		client: client, fetching: make(chan struct{}, 1),
	}
}

// get returns a token that is valid for a while.
func (t *tokens) get(ctx context.Context) (string, error) {
	if token, ok := t.known(); ok {
		return token, nil
	}
	select {
	case t.fetching <- struct{}{}:
		defer func() { <-t.fetching }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if token, ok := t.known(); ok {
		return token, nil
	}
	if t.failure != nil && time.Since(t.failedAt) < calm {
		return "", t.failure
	}
	token, err := t.fetch(ctx)
	if err != nil {
		if ctx.Err() == nil {
			t.failure, t.failedAt = err, time.Now()
		}
		return "", err
	}
	t.failure = nil
	t.current.Store(token)
	return token.AccessToken, nil
}

func (t *tokens) known() (string, bool) {
	if token := t.current.Load(); token != nil && time.Now().Add(early).Before(token.Expiry) {
		return token.AccessToken, true
	}
	return "", false
}

// fetch exchanges a signature for a token. The library's errors are not kept: they hold
// the response, and not the reason why there was none.
func (t *tokens) fetch(ctx context.Context) (*oauth2.Token, error) {
	client := *t.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	sent := &recorder{next: client.Transport, ctx: ctx}
	client.Transport = sent
	token, err := t.config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, &client)).Token()
	refused, isRefused := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case sent.err != nil:
		return nil, sent.err
	case isRefused:
		return nil, refusal(refused)
	case err != nil || token.AccessToken == "" || token.Expiry.IsZero():
		return nil, &provider.Untrusted{Cause: errors.New("signing in gave no access token")}
	}
	return token, nil
}

// recorder sends the one request of an exchange in the context of the call, which the
// library does not pass on, and keeps its error, which the library only quotes.
type recorder struct {
	next http.RoundTripper
	ctx  context.Context //nolint:containedctx // of the one request
	err  error
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(request *http.Request) (response *http.Response, err error) {
	next := r.next
	if next == nil {
		next = http.DefaultTransport
	}
	request = request.Clone(r.ctx)
	request.Header.Set("User-Agent", agent)
	response, r.err = next.RoundTrip(request)
	return response, r.err
}

// refusal returns the error of an exchange that ended with an error status and an error
// code of OAuth (RFC 6749, section 5.2).
func refusal(refused *oauth2.RetrieveError) error {
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(refused.Body, &body)
	status := refused.Response.StatusCode
	e := &provider.Error{Kind: provider.Credentials, Op: "sign in", Status: status, Code: word(body.Error), Call: "sign in", Err: &statusError{status, word(body.Error)}}
	switch {
	case status == http.StatusTooManyRequests:
		e.Kind, e.Reason = provider.Throttled, "Google asks to slow down with signing in"
	case status >= 500:
		e.Kind, e.Reason = provider.Unavailable, "Google's sign-in failed"
	case body.Error == "invalid_grant":
		e.Reason = "Google does not accept the service account's key: it may have been deleted, or this machine's clock may be wrong"
	default:
		e.Reason = "Google does not sign the service account in"
	}
	return e
}
