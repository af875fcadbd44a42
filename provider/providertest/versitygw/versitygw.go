// Package versitygw runs a real S3 server, Versity's S3 gateway over a directory, as a
// process of its own for tests.
package versitygw

import (
	"net"
	"testing"

	"firescan/provider/providertest/process"
)

const (
	accessKey = "firescan-test"
	secretKey = "firescan-test-secret"
)

// Start runs a server over a temporary directory until the test ends and returns its
// URL and its root credentials.
func Start(tb testing.TB) (endpoint, access, secret string) {
	tb.Helper()
	dir := tb.TempDir()
	return process.Server{
		Package: "github.com/versity/versitygw/cmd/versitygw", Version: "v1.8.0",
		Args: func(host, port string) []string {
			return []string{
				"--port", net.JoinHostPort(host, port), "--access", accessKey, "--secret", secretKey,
				"--keep-alive", "--quiet", "posix", dir,
			}
		},
	}.Start(tb), accessKey, secretKey
}
