//go:build !linux

package systemtest

import "syscall"

// killWithParent has no equivalent on this system.
func killWithParent() *syscall.SysProcAttr { return nil }
