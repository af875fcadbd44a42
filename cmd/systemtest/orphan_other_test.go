//go:build !linux

package systemtest

import "syscall"

// dieWithTest does nothing where the system cannot.
func dieWithTest() *syscall.SysProcAttr { return nil }
