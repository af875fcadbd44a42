//go:build !linux

package api

import (
	"syscall"
	"time"
)

// connState returns false: this system does not report it.
func connState(syscall.RawConn) (age time.Duration, hungUp, ok bool) { return 0, false, false }
