package gcs_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"firescan/keyspace"
	"firescan/provider"
	"firescan/provider/gcs"
	"firescan/provider/providertest"
)

// secret stands for what a server's message may quote.
const secret = "wJalrXUtnFEMI-SECRET"

// answering is a bucket at a server with that handler.
func answering(t *testing.T, handler http.HandlerFunc) provider.Bucket {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return dial(t, server.URL, false).Bucket("bucket")
}

// page is a list of names; token is what follows.
func page(token string, names ...string) string {
	var items []string
	for _, name := range names {
		items = append(items, fmt.Sprintf(`{"name":%q,"size":"1","generation":"1","updated":"2026-01-02T03:04:05.000Z"}`, name))
	}
	more := ""
	if token != "" {
		more = fmt.Sprintf(`"nextPageToken":%q,`, token)
	}
	return `{"kind":"storage#objects",` + more + `"items":[` + strings.Join(items, ",") + `]}`
}

func errorDocument(status int, reason string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":"a message that quotes %s","errors":[{"domain":"global","reason":%q,"message":"<b>%s</b>"}]}}`,
		status, secret, reason, secret)
}

func TestFailuresByKind(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   provider.Kind
		reason string // a part of it
	}{
		{401, errorDocument(401, "authError"), provider.Credentials, "not valid"},
		{401, "", provider.Credentials, "not valid"},
		{403, errorDocument(403, "forbidden"), provider.Denied, "the permission storage.objects.list (HTTP 403"},
		{403, errorDocument(403, "rateLimitExceeded"), provider.Throttled, "slow down"},
		{403, errorDocument(403, "quotaExceeded"), provider.Throttled, "quota"},
		{403, errorDocument(403, "accessNotConfigured"), provider.Denied, "switched on"},
		{403, errorDocument(403, "accountDisabled"), provider.Denied, "disabled"},
		{403, "<html>" + secret + "</html>", provider.Denied, "the permission storage.objects.list (HTTP 403"},
		{404, errorDocument(404, "notFound"), provider.NoBucket, "does not exist"},
		{400, errorDocument(400, "invalid"), provider.Invalid, "HTTP 400 invalid in objects.list"},
		{400, errorDocument(400, "two words "+secret), provider.Invalid, "HTTP 400"},
		{400, errorDocument(400, "userProjectMissing"), provider.Invalid, "requester"},
		{412, errorDocument(412, "orgPolicyConstraintFailed"), provider.Denied, "policy"},
		{302, "", provider.Invalid, "redirect"},
		{304, "", provider.Invalid, "redirect"},
		{429, errorDocument(429, "rateLimitExceeded"), provider.Throttled, "slow down"},
		{429, "", provider.Throttled, "slow down"},
		{503, errorDocument(503, "backendError"), provider.Throttled, "slow down"},
		{503, "<html>busy</html>", provider.Throttled, "slow down"},
		{500, errorDocument(500, "internalError"), provider.Unavailable, "HTTP 500 internalError in objects.list"},
		{502, "<html>bad gateway</html>", provider.Unavailable, "502"},
		{504, "", provider.Unavailable, "504"},
		{408, "", provider.Unavailable, "408"},
		{409, errorDocument(409, "conflict"), provider.Unavailable, "409"},
		{200, errorDocument(503, "backendError"), provider.Throttled, "slow down"},
		{200, errorDocument(500, "x"), provider.Unavailable, "500"},
		{200, errorDocument(0, "x"), provider.Corrupt, "in place of"},
		{200, `{"error":` + secret + `}`, provider.Corrupt, "no list"},
		{200, "", provider.Corrupt, "empty"},
		{200, "{}", provider.Corrupt, "no list"},
		{200, "<html>" + secret + "</html>", provider.Corrupt, "no list"},
		{204, "", provider.Corrupt, "no list"},
		{206, page(""), provider.Corrupt, "no list"},
		{200, page("", "b", "a"), provider.Corrupt, "order"},
		{200, page("token"), provider.Corrupt, "same token"},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.want, " ", c.reason), func(t *testing.T) {
			b := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.status == http.StatusFound {
					w.Header().Set("Location", "http://127.0.0.1:1/"+secret)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			err := b.List(t.Context(), provider.ListRequest{}, &provider.Page{})
			e, ok := errors.AsType[*provider.Error](err)
			if !ok || e.Kind != c.want || e.Op != "list" || e.Bucket != "bucket" || !strings.Contains(e.Explain(), c.reason) {
				t.Fatalf("error %v, want kind %v and %q in it", err, c.want, c.reason)
			}
			for cause := error(e); cause != nil; cause = errors.Unwrap(cause) {
				if said := fmt.Sprintf("%v %+v", cause, cause); strings.Contains(said, secret) || strings.ContainsAny(e.Explain(), "<>") {
					t.Errorf("the error says too much: %s", said)
				}
			}
		})
	}
}

// TestOtherCallsFailAlike looks at the calls that the library decodes.
func TestOtherCallsFailAlike(t *testing.T) {
	for _, c := range []struct {
		status            int
		body              string
		stat, put, delete provider.Kind
	}{
		{401, errorDocument(401, "authError"), provider.Credentials, provider.Credentials, provider.Credentials},
		{403, errorDocument(403, "retentionPolicyNotMet"), provider.Retained, provider.Retained, provider.Retained},
		{412, errorDocument(412, "conditionNotMet"), provider.Changed, provider.Changed, provider.Changed},
		{429, "", provider.Throttled, provider.Throttled, provider.Throttled},
		{503, "", provider.Throttled, provider.Throttled, provider.Throttled},
		{500, secret, provider.Unavailable, provider.Unavailable, provider.Unavailable},
		{200, secret, provider.Corrupt, provider.Corrupt, 0},
		{200, "", provider.Corrupt, provider.Corrupt, 0},
		{200, `{"name":"k"`, provider.Corrupt, provider.Corrupt, 0},
		{404, `{"error":{"code":404,"message":"The specified bucket does not exist."}}`, provider.NoBucket, provider.NoBucket, provider.NoBucket},
	} {
		b := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		_, stat := b.Stat(t.Context(), "k")
		for op, got := range map[string]struct {
			err  error
			want provider.Kind
		}{
			"stat": {stat, c.stat}, "put": {b.Put(t.Context(), "k", []byte("body")), c.put}, "delete": {b.Delete(t.Context(), "k", "1"), c.delete},
			"delete batch": {b.DeleteBatch(t.Context(), []provider.Deletion{{Key: "k"}})[0], c.delete},
		} {
			if got.want == 0 && got.err == nil {
				continue
			}
			e, ok := errors.AsType[*provider.Error](got.err)
			if !ok || e.Kind != got.want || e.Op != op {
				t.Errorf("%d %s: %s: %v, want kind %v", c.status, c.body, op, got.err, got.want)
			}
			if strings.Contains(fmt.Sprintf("%v %v", got.err, errors.Unwrap(e)), secret) {
				t.Errorf("the error says too much: %v", got.err)
			}
		}
	}
}

func TestBrokenConnections(t *testing.T) {
	providertest.Connections(t, page("", "a", "b"), func(t *testing.T, endpoint string) provider.Account {
		t.Helper()
		return dial(t, endpoint, false)
	})
}

func TestForbiddenEndpoint(t *testing.T) {
	egress, err := provider.NewEgress(provider.EgressConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer egress.Close()
	a, err := gcs.New(gcs.Config{Endpoint: "http://127.0.0.1:9", ProjectID: "a-project", HTTPClient: egress.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	for op, err := range map[string]error{
		"list": a.Bucket("bucket").List(t.Context(), provider.ListRequest{}, &provider.Page{}),
		"put":  a.Bucket("bucket").Put(t.Context(), "key", []byte("body")),
	} {
		if provider.KindOf(err) != provider.Forbidden {
			t.Errorf("%s at an endpoint that is not allowed: %v", op, err)
		}
	}
}

// TestListsThatLie has servers that ignore what was asked for, or never end. None of
// their responses reads as a shorter list.
func TestListsThatLie(t *testing.T) {
	for name, c := range map[string]struct {
		req     provider.ListRequest
		answers func(call int, r *http.Request) string
	}{
		"start ignored":  {provider.ListRequest{Start: "m"}, func(int, *http.Request) string { return page("", "a", "n") }},
		"prefix ignored": {provider.ListRequest{Prefix: "p/"}, func(int, *http.Request) string { return page("", "a", "p/x") }},
		"a new token without a name each time": {
			provider.ListRequest{}, func(call int, _ *http.Request) string { return page(fmt.Sprint("token-", call)) },
		},
		"the same token each time": {
			provider.ListRequest{}, func(int, *http.Request) string { return page("token") },
		},
		"back to the beginning": {
			provider.ListRequest{Start: keyspace.After("m")}, func(int, *http.Request) string { return page("token", "m") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			b := answering(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, c.answers(int(calls.Add(1)), r)) })
			err := b.List(t.Context(), c.req, &provider.Page{})
			if provider.KindOf(err) != provider.Corrupt {
				t.Errorf("error %v after %d calls", err, calls.Load())
			}
		})
	}
}

// TestAnEndThatIsIgnored costs requests and nothing else.
func TestAnEndThatIsIgnored(t *testing.T) {
	b := answering(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page("token", "a", "b", "c")) })
	var p provider.Page
	if err := b.List(t.Context(), provider.ListRequest{End: "b"}, &p); err != nil || len(p.Objects) != 1 || p.More {
		t.Errorf("%d objects, more %v, %v", len(p.Objects), p.More, err)
	}
}

// TestNamesAndPrefixesApart checks that nothing is lost at a server that cuts off names
// but returns all folded prefixes: the page ends where the shorter list ends.
func TestNamesAndPrefixesApart(t *testing.T) {
	b := answering(t, func(w http.ResponseWriter, r *http.Request) {
		names, token := []string{"a", "b", "c"}, ""
		names = slices.DeleteFunc(names, func(n string) bool { return n < r.URL.Query().Get("startOffset") })
		if len(names) > 2 {
			names, token = names[:2], "token"
		}
		fmt.Fprint(w, strings.Replace(page(token, names...), `"items"`, `"prefixes":["z/"],"items"`, 1))
	})
	var names, prefixes []string
	var p provider.Page
	for req := (provider.ListRequest{Delimiter: "/"}); ; req.Start = p.Next {
		if err := b.List(t.Context(), req, &p); err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Objects {
			names = append(names, string(o.Key))
		}
		prefixes = append(prefixes, p.Prefixes...)
		if !p.More {
			break
		}
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) || !slices.Equal(prefixes, []string{"z/"}) {
		t.Errorf("names %q, prefixes %q", names, prefixes)
	}
}

// TestNamesThatAreNone reach no server: tidied up, the address of some is another one's.
func TestNamesThatAreNone(t *testing.T) {
	b := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was made") })
	for _, key := range []string{"", ".", "..", "a\nb", "a\rb", "\xff", strings.Repeat("x", 1025)} {
		_, stat := b.Stat(t.Context(), key)
		for op, err := range map[string]error{
			"stat": stat, "put": b.Put(t.Context(), key, nil), "delete": b.Delete(t.Context(), key, ""),
			"batch": b.DeleteBatch(t.Context(), []provider.Deletion{{Key: key}})[0],
		} {
			if provider.KindOf(err) != provider.Invalid {
				t.Errorf("%s %q: %v", op, key, err)
			}
		}
	}
	for _, name := range []string{"", ".", "..", "a..b", "a/b", "Bucket", "a?b", "a b"} {
		other := dial(t, "http://127.0.0.1:1", false)
		if err := other.Bucket(name).List(t.Context(), provider.ListRequest{}, &provider.Page{}); provider.KindOf(err) != provider.Invalid {
			t.Errorf("bucket %q: %v", name, err)
		}
	}
}
