package systemtest

import "syscall"

// killWithParent kills a node when the test process dies without stopping it.
func killWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
