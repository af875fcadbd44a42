package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// ListenError returns the error of a listen that failed, with the flag that sets the address.
func ListenError(flag, address string, err error) error {
	inUse := syscall.EADDRINUSE // memberlist passes on its text alone
	if errors.Is(err, inUse) || strings.Contains(err.Error(), inUse.Error()) {
		return fmt.Errorf("%s %s is in use by another process: stop it, or set another port", flag, address)
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
