package api

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// connState asks the system how long ago the peer of a TCP connection has sent data, and
// whether it has closed the connection: tcpi_last_data_recv and tcpi_state of TCP_INFO, see
// tcp(7) and include/uapi/linux/tcp.h.
func connState(raw syscall.RawConn) (age time.Duration, hungUp, ok bool) {
	var info *unix.TCPInfo
	var failed error
	if err := raw.Control(func(fd uintptr) {
		info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); err != nil || failed != nil {
		return 0, err != nil, false // a closed connection has no state
	}
	hungUp = info.State == unix.BPF_TCP_CLOSE_WAIT || info.State == unix.BPF_TCP_CLOSE
	return time.Duration(info.Last_data_recv) * time.Millisecond, hungUp, true
}
