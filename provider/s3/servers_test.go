package s3_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"firescan/provider"
	"firescan/provider/providertest"
	"firescan/provider/providertest/s3servers"
	"firescan/provider/s3"
)

var update = flag.Bool("update", false, "write how real servers name objects into ../mem/testdata")

// TestRealServerNames: servers name objects as recorded, which is what the fakes of them do.
func TestRealServerNames(t *testing.T) {
	for _, server := range s3servers.All() {
		t.Run(server.Name, func(t *testing.T) {
			endpoint, version := server.Start(t)
			account := s3servers.Dial(t, endpoint)
			if err := account.CreateBucket(t.Context(), "names", ""); err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			client := awss3.New(awss3.Options{
				Region: s3.DefaultRegion, BaseEndpoint: &endpoint, UsePathStyle: true, HTTPClient: &http.Client{Transport: transport},
				Credentials: credentials.NewStaticCredentialsProvider(s3servers.AccessKey, s3servers.SecretKey, ""),
			})
			text, err := providertest.DescribeNames(t.Context(), &readBucket{account.Bucket("names"), t, client})
			if err != nil {
				t.Fatal(err)
			}
			got := []byte(fmt.Sprintf("# %s %s\n%s", server.Name, version, text))
			file := "../mem/testdata/names." + server.Name + ".txt"
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v: the server does otherwise than %s has it (-update writes it):\n%s", err, file, got)
			}
		})
	}
}

// readBucket compares HEAD with GET.
type readBucket struct {
	provider.Bucket
	t      *testing.T
	client *awss3.Client
}

// Stat implements provider.Bucket.
func (b *readBucket) Stat(ctx context.Context, key string) (provider.Info, error) {
	info, err := b.Bucket.Stat(ctx, key)
	bucket := "names"
	if got, failed := b.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &bucket, Key: &key}); (failed == nil) != (err == nil) {
		b.t.Errorf("HEAD and GET of %q differ: %v, %v", key, err, failed)
	} else if err == nil {
		body, failed := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if failed != nil || int64(len(body)) != info.Size {
			b.t.Errorf("GET of %q: %q, %v; HEAD has %d bytes", key, body, failed, info.Size)
		}
	}
	return info, err
}

// TestRealServerConformance runs the conformance suite against real servers.
func TestRealServerConformance(t *testing.T) {
	for _, server := range s3servers.All() {
		quirks, conforms := serverQuirks[server.Name]
		if !conforms {
			continue
		}
		t.Run(server.Name, func(t *testing.T) {
			endpoint, _ := server.Start(t)
			open := func(t *testing.T) (provider.Account, string) {
				t.Helper()
				a := s3servers.Dial(t, endpoint)
				name := fmt.Sprintf("bucket-%d", buckets.Add(1))
				if err := a.CreateBucket(t.Context(), name, ""); err != nil {
					t.Fatal(err)
				}
				if server.Name == "seaweedfs" {
					// It lists folders in the order of their names: "a/" before "a-/".
					a = providertest.Decorate(a, providertest.WithFallback)
				}
				return a, name
			}
			quirks.Stranger = func(t *testing.T) provider.Account {
				t.Helper()
				return dial(t, endpoint, "nobody", s3servers.SecretKey)
			}
			providertest.Run(t, open, quirks)
		})
	}
}

// serverQuirks are what the servers do wrong, at the versions in s3servers. Not tested is
// rclone before 1.74: it lists in no order, keeps a folder placeholder as a file, and
// ignores conditions.
var serverQuirks = map[string]providertest.Quirks{
	"minio": {
		Unfit:            unfitForFiles,
		RefusesPrefix:    func(prefix string) bool { return prefix == "." || !utf8.ValidString(prefix) },
		IgnoresCondition: true, IgnoresBatchCondition: true,
	},
	"seaweedfs": {
		Unfit:         func(key string) bool { return strings.Contains(key, `\`) || unfitForFiles(key) },
		GoneIsChanged: true,
	},
	"rclone": {Unfit: unfitForFiles},
}
