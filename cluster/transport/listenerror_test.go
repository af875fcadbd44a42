package transport

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestListenError(t *testing.T) {
	failed := func(errno syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: os.NewSyscallError("bind", errno)}
	}
	for want, err := range map[string]error{
		"--http-addr :80 is in use by another process: stop it, or set another port": failed(syscall.EADDRINUSE),
		"listen on --http-addr :80: permission denied":                               failed(syscall.EACCES),
		"listen on --http-addr :80: no such host":                                    errors.New("no such host"),
	} {
		if got := ListenError("--http-addr", ":80", err).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
