// Package versitygw runs a real S3 server, Versity's S3 gateway over a directory, as a
// separate process for tests.
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

var server = process.Server{Package: "github.com/versity/versitygw/cmd/versitygw", Version: "v1.8.0"}

// Start runs a server over a temporary directory until the test ends and returns its
// URL and its root credentials.
func Start(tb testing.TB) (endpoint, access, secret string) {
	tb.Helper()
	dir, users := tb.TempDir(), tb.TempDir()
	s := server
	s.Args = func(host, port string) []string {
		return []string{
			"--port", net.JoinHostPort(host, port), "--access", accessKey, "--secret", secretKey,
			"--iam-dir", users, "--iam-cache-disable", "--keep-alive", "--quiet", "posix", dir,
		}
	}
	return s.Start(tb), accessKey, secretKey
}

// AddUser makes a user of a server that Start runs, who may do nothing but what bucket
// policies say.
func AddUser(tb testing.TB, endpoint, access, secret string) {
	tb.Helper()
	server.Run(tb, "admin", "--endpoint-url", endpoint, "--access", accessKey, "--secret", secretKey,
		"create-user", "--access", access, "--secret", secret, "--role", "user")
}
