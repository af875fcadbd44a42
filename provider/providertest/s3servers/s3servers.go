// Package s3servers runs real S3 servers that list objects under other names than they
// were stored with, each as a separate process on this machine, for the long form of tests.
package s3servers

import (
	"net/http"
	"os"
	"testing"
	"time"

	"firescan/provider"
	"firescan/provider/providertest/process"
	"firescan/provider/s3"
)

// Credentials of each server.
const (
	AccessKey = "firescan-test"
	SecretKey = "firescan-test-secret"
)

// A Server is a server at one version. The first start on a machine builds it, which
// takes minutes.
type Server struct {
	Name    string
	program func(tb testing.TB) process.Server
}

// All returns the servers.
func All() []Server {
	return []Server{
		{"minio", minio},
		{"seaweedfs", seaweedfs},
		{"rclone", rclone("v1.76.0")},
		// The last one that resolves keys like paths. Later ones refuse them.
		{"rclone-1.73", rclone("v1.73.5")},
	}
}

// Start runs a server over a temporary directory until the test ends, and returns its URL
// and its version when objects can be stored. It skips the test in the short form.
func (s Server) Start(tb testing.TB) (endpoint, version string) {
	tb.Helper()
	if os.Getenv("FIRESCAN_LONG") != "1" {
		tb.Skip("builds a real server: set FIRESCAN_LONG=1")
	}
	program := s.program(tb)
	endpoint = program.Start(tb)
	account := Dial(tb, endpoint)
	var err error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = account.CreateBucket(tb.Context(), "ready", ""); err != nil && provider.KindOf(err) != provider.Exists {
			continue
		}
		if err = account.Bucket("ready").Put(tb.Context(), "ready", []byte("ready")); err == nil {
			return endpoint, program.Version
		}
	}
	tb.Fatalf("%s is not ready: %v", s.Name, err)
	return "", ""
}

// Dial opens the account of a server.
func Dial(tb testing.TB, endpoint string) provider.Account {
	tb.Helper()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	tb.Cleanup(transport.CloseIdleConnections)
	account, err := s3.New(s3.Config{
		Flavor: s3.Compatible, Endpoint: endpoint, AccessKeyID: AccessKey, SecretAccessKey: SecretKey, PathStyle: true,
		HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return account
}
