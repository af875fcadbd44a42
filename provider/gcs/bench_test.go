package gcs

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"firescan/provider"
)

// googlePage is a response as Google gives it, of n names like those of a backup.
func googlePage(n int, token string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"kind":"storage#objects","nextPageToken":%q,"items":[`, token)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"firestore/production/2026-03-%02d/backup-%08d.backup.gz","generation":"%d","updated":"2026-03-%02dT04:%02d:21.123Z","size":"%d"}`,
			10+i/100, i, 1_772_000_000_000_000+i, 1+i%28, i%60, 1000+i)
	}
	b.WriteString("]}")
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	body := googlePage(1000, "token")
	scratch := make([]byte, len(body))
	var page provider.Page
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		copy(scratch, body)
		d := decoder{page: &page}
		if err := d.decode(scratch); err != nil || !d.finish() {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}

// BenchmarkList measures the whole way of a page, HTTP over loopback included. The
// server's share is in it too.
func BenchmarkList(b *testing.B) {
	body := googlePage(1000, "token")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	defer server.Close()
	egress, err := provider.NewEgress(provider.EgressConfig{Allow: []string{server.Listener.Addr().String()}})
	if err != nil {
		b.Fatal(err)
	}
	defer egress.Close()
	a, err := New(Config{Endpoint: server.URL, HTTPClient: egress.HTTPClient()})
	if err != nil {
		b.Fatal(err)
	}
	bucket := a.Bucket("backups")
	var page provider.Page
	b.ReportAllocs()
	for b.Loop() {
		if err := bucket.List(b.Context(), provider.ListRequest{}, &page); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}
