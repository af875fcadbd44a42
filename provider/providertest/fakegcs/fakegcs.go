// Package fakegcs runs a fake Google Cloud Storage, fake-gcs-server, as a separate
// process for tests.
package fakegcs

import (
	"net"
	"testing"

	"firescan/provider/providertest/process"
)

// Start runs a server that keeps everything in memory until the test ends, and returns
// its URL. It lets everybody in.
func Start(tb testing.TB) (endpoint string) {
	tb.Helper()
	return process.Server{
		Package: "github.com/fsouza/fake-gcs-server", Version: "v1.56.1",
		Args: func(host, port string) []string {
			return []string{
				"-backend", "memory", "-scheme", "http", "-host", host, "-port", port,
				"-public-host", net.JoinHostPort(host, port), "-log-level", "error",
			}
		},
	}.Start(tb)
}
