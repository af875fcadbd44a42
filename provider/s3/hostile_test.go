package s3_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"firescan/provider"
	"firescan/provider/s3"
)

// TestHostileServer checks that whatever a server echoes of our requests, and wherever,
// nothing of it is in an error: not in its text, not in its causes, not in what a log
// makes of it.
func TestHostileServer(t *testing.T) {
	const key = "AKIAECHOEDKEYID"
	// echo is what a hostile server knows of us, with the secret as if it had guessed it.
	echo := func(r *http.Request) string {
		body, _ := io.ReadAll(r.Body)
		var b strings.Builder
		_ = xml.EscapeText(&b, fmt.Appendf(nil, "%s %s %v %s %s", r.Method, r.URL, r.Header, body, secret))
		return b.String()
	}
	document := func(fields string) string { return `<?xml version="1.0"?><Error>` + fields + `</Error>` }
	for name, answer := range map[string]http.HandlerFunc{
		"message": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, document("<Code>AccessDenied</Code><Message>"+echo(r)+"</Message>"))
		},
		"code": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, document("<Code>"+echo(r)+"</Code>"))
		},
		"code that looks like one": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, document("<Code>"+key+"</Code><RequestId>"+secret+"</RequestId><HostId>"+secret+"</HostId>"))
		},
		"unknown code under 200": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, document("<Code>"+key+"</Code>"))
		},
		"no XML": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, echo(r))
		},
		"no XML under 200": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, echo(r)) },
		"a page": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>"+echo(r)+"</Key><Size>"+key+"</Size></Contents></ListBucketResult>")
		},
		"an element": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<"+key+"><"+secret+">")
		},
		"headers": func(w http.ResponseWriter, _ *http.Request) {
			for _, h := range []string{"X-Amz-Request-Id", "X-Amz-Id-2", "X-Amz-Bucket-Region", "X-Amzn-Errortype", "Server", "Location"} {
				w.Header().Set(h, key+"-"+secret)
			}
			w.WriteHeader(http.StatusMovedPermanently)
			fmt.Fprint(w, document("<Code>PermanentRedirect</Code><Endpoint>"+secret+"</Endpoint><Region>"+key+"</Region>"))
		},
		"a status line": func(w http.ResponseWriter, r *http.Request) {
			hijack(t, w, "HTTP/1.1 "+r.Header.Get("Authorization")+"\r\n\r\n")
		},
		"a broken header": func(w http.ResponseWriter, r *http.Request) {
			hijack(t, w, "HTTP/1.1 200 OK\r\n"+strings.ReplaceAll(r.Header.Get("Authorization"), ":", "")+"\r\n\r\n")
		},
		"a broken length": func(w http.ResponseWriter, r *http.Request) {
			hijack(t, w, "HTTP/1.1 200 OK\r\nContent-Length: "+r.Header.Get("Authorization")+"\r\n\r\n")
		},
		"a batch": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "<DeleteResult><Error><Key>key</Key><Code>"+key+"</Code><Message>"+echo(r)+"</Message></Error></DeleteResult>")
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			t.Cleanup(server.Close)
			a := dialAs(t, s3.Compatible, server.URL, key, secret)
			b := a.Bucket("bucket")
			ctx := t.Context()
			_, bucketsErr := a.Buckets(ctx)
			_, statErr := b.Stat(ctx, "key")
			_, probeErr := provider.Probe(ctx, b, "")
			_, conditionsErr := provider.ProbeConditions(ctx, b, "")
			_, foldersErr := provider.Folders(ctx, b, provider.FolderLimits{})
			for op, err := range map[string]error{
				"buckets": bucketsErr, "create": a.CreateBucket(ctx, "bucket", "eu-west-1"), "stat": statErr,
				"list": b.List(ctx, provider.ListRequest{}, &provider.Page{}), "put": b.Put(ctx, "key", nil),
				"delete": b.Delete(ctx, "key", "tag"), "batch": b.DeleteBatch(ctx, []provider.Deletion{{Key: "key"}})[0],
				"probe": probeErr, "conditions": conditionsErr, "folders": foldersErr,
			} {
				for _, text := range everyTextOf(err) {
					for _, ours := range []string{key, secret, "AWS4", "Signature", "Credential=", "<"} {
						if strings.Contains(text, ours) {
							t.Errorf("%s: the error has %q in it: %.300s", op, ours, text)
						}
					}
				}
			}
		})
	}
}

// everyTextOf is all that can be made of an error and its causes.
func everyTextOf(err error) []string {
	if err == nil {
		return nil
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Error("failed", "err", err)
	encoded, _ := json.Marshal(err)
	texts := []string{err.Error(), fmt.Sprintf("%+v", err), logged.String(), string(encoded)}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			texts = append(texts, everyTextOf(e)...)
		}
	}
	return append(texts, everyTextOf(errors.Unwrap(err))...)
}

// hijack sends raw bytes and closes the connection.
func hijack(t *testing.T, w http.ResponseWriter, answer string) {
	t.Helper()
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_, _ = buffered.WriteString(answer)
	_ = buffered.Flush()
}
