package s3_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"firescan/provider"
	"firescan/provider/s3"
)

// signedFor is the region in a request's signature.
func signedFor(r *http.Request) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if parts := strings.Split(scope, "/"); len(parts) > 2 {
		return parts[2]
	}
	return ""
}

const malformed = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AuthorizationHeaderMalformed</Code>` +
	`<Message>the region 'us-east-1' is wrong; expecting 'eu-central-1'</Message><Region>%s</Region><RequestId>1</RequestId></Error>`

func TestRegionIsFound(t *testing.T) {
	const right = "eu-central-1"
	for _, c := range []struct {
		name  string
		wrong http.HandlerFunc // the response to a request for another region
		found bool
	}{
		{"redirected", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", right)
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			w.WriteHeader(http.StatusMovedPermanently)
			fmt.Fprint(w, errorDocument("PermanentRedirect"))
		}, true},
		{"redirected for a while", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", right)
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, true},
		{"in the body", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, malformed, right)
		}, true},
		{"to HEAD only", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("X-Amz-Bucket-Region", right)
			}
			w.WriteHeader(http.StatusMovedPermanently)
			fmt.Fprint(w, errorDocument("PermanentRedirect"))
		}, true},
		{"with a refusal", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", right)
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, errorDocument("AccessDenied"))
		}, true},
		{"missing", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			w.WriteHeader(http.StatusMovedPermanently)
		}, false},
		{"invalid", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", "evil.example/?")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, malformed, "evil.example#")
		}, false},
		{"the same one", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", "us-east-1")
			w.WriteHeader(http.StatusMovedPermanently)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			wrong, all := 0, 0
			a := answering(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if all++; signedFor(r) != right {
					wrong++
					c.wrong(w, r)
					return
				}
				fmt.Fprint(w, page(false, "a", "b"))
			})
			b := a.Bucket("bucket")
			for range 3 {
				var got provider.Page
				err := b.List(t.Context(), provider.ListRequest{}, &got)
				if c.found && (err != nil || len(got.Objects) != 2) {
					t.Fatalf("%d objects, %v", len(got.Objects), err)
				}
				if kind := provider.KindOf(err); !c.found && kind != provider.Invalid {
					t.Fatalf("error %v", err)
				}
			}
			if c.found && (wrong > 2 || all != wrong+3) {
				t.Errorf("%d requests, %d of them in the wrong region: the right one is not remembered", all, wrong)
			}
		})
	}
}

// roundTripper responds without a network.
type roundTripper func(*http.Request) *http.Response

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// TestRegionOfAmazon checks that the host of the request changes with the region, by the
// SDK's rules.
func TestRegionOfAmazon(t *testing.T) {
	for _, configured := range []string{"", "us-east-1", "ap-south-1"} {
		var hosts []string
		a, err := s3.New(s3.Config{
			Region: configured, AccessKeyID: "id", SecretAccessKey: "secret",
			HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) *http.Response {
				hosts = append(hosts, r.URL.Host)
				answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(page(false, "a"))), Request: r}
				if signedFor(r) != "eu-west-3" {
					answer.StatusCode = http.StatusMovedPermanently
					answer.Header.Set("X-Amz-Bucket-Region", "eu-west-3")
					answer.Header.Set("Location", "https://evil.example/")
					answer.Body = io.NopCloser(strings.NewReader(errorDocument("PermanentRedirect")))
				}
				return answer
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := a.Bucket("bucket").List(t.Context(), provider.ListRequest{}, &provider.Page{}); err != nil {
				t.Fatal(err)
			}
		}
		const right = "bucket.s3.eu-west-3.amazonaws.com"
		if len(hosts) != 3 || hosts[0] == right || hosts[1] != right || hosts[2] != right {
			t.Errorf("configured %q: asked %q", configured, hosts)
		}
	}
}

func TestSpaces(t *testing.T) {
	var host, region string
	client := &http.Client{Transport: roundTripper(func(r *http.Request) *http.Response {
		host, region = r.URL.Host, signedFor(r)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(page(false, "a"))), Request: r}
	})}
	config := s3.Config{Flavor: s3.Spaces, Region: "nyc3", AccessKeyID: "id", SecretAccessKey: "secret", HTTPClient: client}
	a, err := s3.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Bucket("with.dots").List(t.Context(), provider.ListRequest{}, &provider.Page{}); err != nil {
		t.Fatal(err)
	}
	if host != "nyc3.digitaloceanspaces.com" || region != "us-east-1" || s3.Spaces.Ceiling() != provider.CeilingSpaces {
		t.Errorf("host %s, signed for %s, %v calls a second", host, region, s3.Spaces.Ceiling())
	}
	for _, bad := range []string{"", "evil.example/", "nyc3.evil.example", "NYC3", "-"} {
		config.Region = bad
		if _, err := s3.New(config); provider.KindOf(err) != provider.Invalid {
			t.Errorf("region %q: %v", bad, err)
		}
	}
}
