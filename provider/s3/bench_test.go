package s3

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"firescan/provider"
)

// amazonPage is a response as Amazon S3 gives it, of n keys like those of a backup.
func amazonPage(n int, truncated bool) []byte {
	var b bytes.Buffer
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" +
		`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>backups</Name><Prefix></Prefix>`)
	if truncated {
		b.WriteString("<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>")
	}
	fmt.Fprintf(&b, "<KeyCount>%d</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>%t</IsTruncated>", n, truncated)
	for i := range n {
		fmt.Fprintf(&b, "<Contents><Key>firestore/production/2026-03-%02d/backup-%08d.backup.gz</Key>"+
			"<LastModified>2026-03-%02dT04:%02d:21.000Z</LastModified><ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag>"+
			"<Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>", 10+i/100, i, 1+i%28, i%60, 1000+i)
	}
	b.WriteString("</ListBucketResult>")
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	body := amazonPage(1000, true)
	scratch := make([]byte, len(body))
	var page provider.Page
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		copy(scratch, body)
		if _, err := decode(scratch, window{}, &page); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}

// BenchmarkList measures the whole way of a page, the SDK and HTTP over loopback
// included. The server's share is in it too.
func BenchmarkList(b *testing.B) {
	body := amazonPage(1000, true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	defer server.Close()
	egress, err := provider.NewEgress(provider.EgressConfig{Allow: []string{server.Listener.Addr().String()}})
	if err != nil {
		b.Fatal(err)
	}
	defer egress.Close()
	a, err := New(Config{Endpoint: server.URL, AccessKeyID: "id", SecretAccessKey: "secret", PathStyle: true, HTTPClient: egress.HTTPClient()})
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
