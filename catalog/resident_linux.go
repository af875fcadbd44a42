package catalog

import (
	"syscall"

	"go.etcd.io/bbolt"
)

// dropMapped takes the pages of the mapped file out of the process. They are the
// file's, so nothing is lost, and who reads them next finds them in the page cache; see
// MADV_DONTNEED in madvise(2) on shared file mappings.
func dropMapped(db *bbolt.DB, size int64) {
	// Advice only: an error leaves the pages where they are.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, db.Info().Data, uintptr(size), syscall.MADV_DONTNEED)
}
