package systemtest

import "syscall"

// dieWithTest has a node killed when the test dies without having stopped it.
func dieWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
