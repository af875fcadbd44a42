package index

import (
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// dropMapped takes the pages of a read-only mapped file out of the process. They are the
// file's, so nothing is lost; see MADV_DONTNEED in madvise(2) on shared file mappings.
func dropMapped(db *bolt.DB, size int) {
	// Advice only: an error leaves the pages where they are.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, db.Info().Data, uintptr(size), syscall.MADV_DONTNEED)
}
