//go:build !linux

package index

import bolt "go.etcd.io/bbolt"

// dropMapped leaves it to the system.
func dropMapped(*bolt.DB, int) {}
