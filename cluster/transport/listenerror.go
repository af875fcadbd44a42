package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// An inUseError is the error of a listen on an address that another process uses. It wraps
// syscall.EADDRINUSE.
type inUseError struct{ flag, address string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("%s %s is in use by another process: stop it, or set another port", e.flag, e.address)
}

func (e *inUseError) Unwrap() error { return syscall.EADDRINUSE }

// ListenError returns the error of a listen that failed, with the flag that sets the address. It
// wraps syscall.EADDRINUSE if the address is in use.
func ListenError(flag, address string, err error) error {
	inUse := syscall.EADDRINUSE // memberlist passes on its text alone
	if errors.Is(err, inUse) || strings.Contains(err.Error(), inUse.Error()) {
		return &inUseError{flag, address}
	}
	// The text of the outer errors repeats the address.
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("listen on %s %s: %w", flag, address, err)
}
