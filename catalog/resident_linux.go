package catalog

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"go.etcd.io/bbolt"
)

// mappedMost is how many bytes of mapped files the process may hold, those of the index
// included, before the catalog gives its own back.
const mappedMost = 64 << 20

// mapped is how many bytes of mapped files the process holds: the third number of
// /proc/self/statm, in pages; see proc_pid_statm(5).
func mapped() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 3 {
		return 0
	}
	pages, err := strconv.Atoi(string(fields[2]))
	if err != nil {
		return 0
	}
	return int64(pages) * int64(os.Getpagesize())
}

// dropMapped takes the pages of the mapped file out of the process. They are the
// file's, so nothing is lost, and who reads them next finds them in the page cache; see
// MADV_DONTNEED in madvise(2) on shared file mappings.
func dropMapped(db *bbolt.DB, size int64) {
	// Advice only: an error leaves the pages where they are.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, db.Info().Data, uintptr(size), syscall.MADV_DONTNEED)
}
