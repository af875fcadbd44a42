package s3_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"firescan/provider"
)

func TestDeleteBatchOutcomes(t *testing.T) {
	objects := []provider.Deletion{{Key: "a"}, {Key: "b & <c>", Tag: "tag"}, {Key: "ä"}}
	result := func(s string) string { return `<?xml version="1.0"?><DeleteResult xmlns="x">` + s + `</DeleteResult>` }
	const a, b, c = "<Deleted><Key>a</Key></Deleted>", "<Deleted><VersionId>1</VersionId><Key>b &amp; &lt;c&gt;</Key></Deleted>", "<Deleted><Key>ä</Key></Deleted>"
	failure := func(key, code string) string {
		return "<Error><Key>" + key + "</Key><Code>" + code + "</Code><Message>quotes " + secret + "</Message></Error>"
	}
	for _, test := range []struct {
		name, answer string
		want         [3]string // kinds; empty is gone
	}{
		{"all gone", result(c + b + a), [3]string{}},
		{"throttled", result(a + failure("b &amp; &lt;c&gt;", "SlowDown") + c), [3]string{1: "throttled"}},
		{"denied", result(a + failure("b &amp; &lt;c&gt;", "AccessDenied") + c), [3]string{1: "denied"}},
		{"changed", result(a + failure("b &amp; &lt;c&gt;", "PreconditionFailed") + c), [3]string{1: "changed"}},
		{"missing", result(a + failure("b &amp; &lt;c&gt;", "NoSuchKey") + c), [3]string{}},
		{"failed", result(failure("a", "InternalError") + b + c), [3]string{"unavailable"}},
		{"not known", result(failure("a", secret) + b + c), [3]string{"internal"}},
		{"missing", result(a + b), [3]string{2: "corrupt"}},
		{"as another", result(a + b + "<Deleted><Key>a\ufffd</Key></Deleted>"), [3]string{2: "corrupt"}},
		{"contradicted", result(a + b + c + failure("a", "AccessDenied")), [3]string{"corrupt", "corrupt", "corrupt"}},
		{"no code", result(b + c + "<Error><Key>a</Key></Error>"), [3]string{"corrupt", "corrupt", "corrupt"}},
		{"no key", result(a + b + c + "<Deleted/>"), [3]string{"corrupt", "corrupt", "corrupt"}},
		{"cut short", result(a + b + c)[:120], [3]string{"corrupt", "corrupt", "corrupt"}},
		{"nothing", "", [3]string{"corrupt", "corrupt", "corrupt"}},
		{"empty", "<DeleteResult/>", [3]string{"corrupt", "corrupt", "corrupt"}},
		{"a page", page(false, "a"), [3]string{"corrupt", "corrupt", "corrupt"}},
		{"more behind it", result(a+b+c) + "x", [3]string{"corrupt", "corrupt", "corrupt"}},
		{"an error alone", errorDocument("SlowDown"), [3]string{"throttled", "throttled", "throttled"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			account := answering(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				sum := md5.Sum(body)
				if r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) || r.Header.Get("X-Amz-Checksum-Crc32") != "" {
					t.Errorf("checksums: %v", r.Header)
				}
				if !strings.Contains(string(body), "<Object><ETag>&#34;tag&#34;</ETag><Key>b &amp; &lt;c&gt;</Key></Object>") {
					t.Errorf("asked with %s", body)
				}
				fmt.Fprint(w, test.answer)
			})
			for i, err := range account.Bucket("bucket").DeleteBatch(t.Context(), objects) {
				got := ""
				if err != nil {
					got = provider.KindOf(err).String()
				}
				if got != test.want[i] {
					t.Errorf("%q: %v, want kind %q", objects[i].Key, err, test.want[i])
				}
				// An unknown code may be a failure of the server in the middle.
				if unclear := got == "internal" || got == "unavailable" || got == "corrupt"; unclear && !provider.MayStillAct(err) {
					t.Errorf("%q: %v, which may not still act", objects[i].Key, err)
				}
				if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
					t.Errorf("the error says too much: %v", err)
				}
			}
		})
	}
}

// TestDeleteBatchOfKeysThatXMLCannotHold checks that such keys are deleted one by one,
// since XML would have the keys of other objects in their place.
func TestDeleteBatchOfKeysThatXMLCannotHold(t *testing.T) {
	var single []string
	account := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			single = append(single, strings.TrimPrefix(r.URL.Path, "/bucket/"))
			w.WriteHeader(http.StatusNoContent)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if bytes.ContainsRune(body, '\ufffd') {
			t.Errorf("asked to delete %q", body)
		}
		fmt.Fprint(w, "<DeleteResult><Deleted><Key>plain</Key></Deleted></DeleteResult>")
	})
	odd := []string{"a\x01b", "c\ufffed", "bytes\xff", "line\nfeed"}
	batch := []provider.Deletion{{Key: "plain"}}
	for _, key := range odd {
		batch = append(batch, provider.Deletion{Key: key})
	}
	for i, err := range account.Bucket("bucket").DeleteBatch(t.Context(), batch) {
		if err != nil {
			t.Errorf("%q: %v", batch[i].Key, err)
		}
	}
	if !slices.Equal(single, odd) {
		t.Errorf("deleted by themselves: %q, want %q", single, odd)
	}
}

func TestConditionalDelete(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   string
	}{
		{http.StatusNoContent, "", ""},
		{http.StatusPreconditionFailed, "PreconditionFailed", "changed"},
		{http.StatusPreconditionFailed, "", "changed"},
		{http.StatusNotFound, "NoSuchKey", ""},
		{http.StatusNotFound, "NoSuchBucket", "no bucket"},
		{http.StatusConflict, "ConditionalRequestConflict", "unavailable"},
		{http.StatusNotImplemented, "NotImplemented", "invalid"},
		{http.StatusForbidden, "AccessDenied", "denied"},
	} {
		account := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("If-Match"); got != `"tag"` {
				t.Errorf("If-Match is %s", got)
			}
			w.WriteHeader(test.status)
			if test.code != "" {
				fmt.Fprint(w, errorDocument(test.code))
			}
		})
		got := ""
		if err := account.Bucket("bucket").Delete(t.Context(), "key", "tag"); err != nil {
			got = provider.KindOf(err).String()
		}
		if got != test.want {
			t.Errorf("status %d %s: kind %q, want %q", test.status, test.code, got, test.want)
		}
	}
}

// TestQuickAnswers checks that a response that comes while the end of the request is
// still being asked for is read to its end.
func TestQuickAnswers(t *testing.T) {
	account := answering(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, r.ContentLength))
		fmt.Fprint(w, "<DeleteResult>"+strings.Repeat("<Deleted><Key>key</Key></Deleted>", 500)+"</DeleteResult>")
	})
	b := account.Bucket("bucket")
	for n := range 1000 {
		if err := b.DeleteBatch(t.Context(), []provider.Deletion{{Key: "key"}})[0]; err != nil {
			t.Fatalf("batch %d: %v", n, err)
		}
	}
}
