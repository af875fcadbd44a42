package transport

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestListenError(t *testing.T) {
	// memberlist passes on the text alone.
	if err := ListenError("--gossip-addr", ":81", errors.New("failed to listen: "+syscall.EADDRINUSE.Error())); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v is not EADDRINUSE", err)
	}
	failed := func(errno syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: os.NewSyscallError("bind", errno)}
	}
	for want, err := range map[string]error{
		"--http-addr :80 is in use by another process: stop it, or set another port": failed(syscall.EADDRINUSE),
		"listen on --http-addr :80: permission denied":                               failed(syscall.EACCES),
		"listen on --http-addr :80: no such host":                                    errors.New("no such host"),
	} {
		got := ListenError("--http-addr", ":80", err)
		if got.Error() != want || errors.Is(got, syscall.EADDRINUSE) != strings.Contains(want, "in use") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
