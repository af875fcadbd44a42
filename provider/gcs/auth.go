package gcs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"cloud.google.com/go/storage"

	"firescan/provider"
)

// tokenURL is where Google exchanges signatures of service accounts for access tokens.
const tokenURL = "https://oauth2.googleapis.com/token"

const (
	// lifetime is what is asked for, and the most that Google gives.
	lifetime = time.Hour
	// early is how long before its end a token is not used any more.
	early = 2 * time.Minute
	// skew is how much the clocks may differ.
	skew = 10 * time.Second
	// calm is how long a refused exchange is not tried again: all streams of a scan ask for
	// a token at the same moment.
	calm = time.Second
	// maxToken bounds the answer of an exchange.
	maxToken = 64 << 10
)

var errStray = errors.New("a token of Google's is for Google alone")

// authorizer signs the requests to Cloud Storage, and refuses to make any other.
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

// tokens are the access tokens of one service account, one after the other. They are
// fetched when a call needs one, in the time that the call has.
type tokens struct {
	key    *key
	client *http.Client
	now    func() time.Time

	current atomic.Pointer[token]
	// turn is held by the one who fetches, and guards what follows.
	turn    chan struct{}
	failed  error
	failure time.Time
}

type token struct {
	text string
	ends time.Time
}

func newTokens(k *key, client *http.Client) *tokens {
	return &tokens{key: k, client: client, now: time.Now, turn: make(chan struct{}, 1)}
}

// get is a token that is good for a while.
func (t *tokens) get(ctx context.Context) (string, error) {
	if text, ok := t.known(); ok {
		return text, nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if text, ok := t.known(); ok {
		return text, nil
	}
	if t.failed != nil && t.now().Sub(t.failure) < calm {
		return "", t.failed
	}
	fetched, err := t.fetch(ctx)
	if err != nil {
		if ctx.Err() == nil {
			t.failed, t.failure = err, t.now()
		}
		return "", err
	}
	t.failed = nil
	t.current.Store(fetched)
	return fetched.text, nil
}

func (t *tokens) known() (string, bool) {
	if current := t.current.Load(); current != nil && t.now().Add(early).Before(current.ends) {
		return current.text, true
	}
	return "", false
}

// fetch exchanges a signature for a token.
// https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
func (t *tokens) fetch(ctx context.Context) (*token, error) {
	asked := t.now()
	assertion, err := t.key.assertion(asked.Add(-skew))
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenURL, bytes.NewBufferString(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", agent)
	response, err := t.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxToken))
	if err != nil {
		return nil, err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
		Error       string `json:"error"`
	}
	understood := json.Unmarshal(body, &answer) == nil
	if response.StatusCode != http.StatusOK {
		return nil, refusal(response.StatusCode, answer.Error)
	}
	if !understood || answer.AccessToken == "" || answer.ExpiresIn <= 0 {
		return nil, &provider.Untrusted{Cause: errors.New("signing in gave no access token")}
	}
	return &token{answer.AccessToken, asked.Add(time.Duration(answer.ExpiresIn) * time.Second)}, nil
}

// refusal is the error of an exchange that was answered with a status and an error code
// of OAuth (RFC 6749, section 5.2).
func refusal(status int, code string) error {
	e := &provider.Error{Kind: provider.Credentials, Op: "sign in", Err: &statusError{status, word(code)}}
	switch {
	case status == http.StatusTooManyRequests:
		e.Kind, e.Reason = provider.Throttled, "Google asks to slow down with signing in"
	case status >= 500:
		e.Kind, e.Reason = provider.Unavailable, "Google's sign-in failed"
	case code == "invalid_grant":
		e.Reason = "Google does not accept the service account's key: it may have been deleted, or this machine's clock be off"
	default:
		e.Reason = "Google does not sign the service account in"
	}
	return e
}

// assertion is a claim to be the service account, signed with its key (RFC 7523).
func (k *key) assertion(at time.Time) (string, error) {
	encode := func(v any) (string, error) {
		text, err := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text), err
	}
	header, err := encode(map[string]string{"alg": "RS256", "typ": "JWT", "kid": k.id})
	if err != nil {
		return "", err
	}
	claims, err := encode(map[string]any{
		"iss": k.email, "scope": storage.ScopeReadWrite, "aud": tokenURL,
		"iat": at.Unix(), "exp": at.Add(lifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	claimed := header + "." + claims
	digest := sha256.Sum256([]byte(claimed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.private, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return claimed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
