// Package ports hands out free ports of this machine to tests.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// The ports of Free lie below the ephemeral ones, which clients and listeners on port 0 take
// at any time.
const (
	firstPort = 12_000
	lastPort  = 31_999
)

// claims are the locks of the ports that this process has claimed, which it holds until
// it ends.
var claims struct {
	sync.Mutex
	locks []*flock.Flock
}

// Free returns an address of this machine whose port is free for TCP and UDP. No other call
// returns it while this process runs, in any test process of this machine: so a server may
// be started on it now, and again after a stop.
func Free() (string, error) {
	dir := filepath.Join(os.TempDir(), "firescan-test-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	const n = lastPort - firstPort + 1
	for i, from := 0, rand.IntN(n); i < n; i++ {
		port := firstPort + (from+i)%n
		address, err := claim(filepath.Join(dir, fmt.Sprint(port)), port)
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		if address != "" {
			return address, nil
		}
	}
	return "", fmt.Errorf("find a free port: all from %d to %d are in use", firstPort, lastPort)
}

// Address is Free for a test, which fails if no port is free.
func Address(t testing.TB) string {
	t.Helper()
	address, err := Free()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// claim returns the address of a port, or "" if it is in use or claimed.
func claim(path string, port int) (string, error) {
	lock := flock.New(path)
	if locked, err := lock.TryLock(); err != nil || !locked {
		return "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	if !isFree(address) {
		return "", lock.Close()
	}
	claims.Lock()
	defer claims.Unlock()
	claims.locks = append(claims.locks, lock)
	return address, nil
}

func isFree(address string) bool {
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	udp, err := net.ListenPacket("udp", address)
	if err == nil {
		_ = udp.Close()
	}
	_ = tcp.Close()
	return err == nil
}
