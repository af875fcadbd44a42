//go:build !linux

package catalog

import "go.etcd.io/bbolt"

// Where the kernel is not known to keep the file's pages, they are left to it.
const mappedMost = 1

func mapped() int64 { return 0 }

func dropMapped(*bbolt.DB, int64) {}
