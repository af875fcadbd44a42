package catalog

import (
	"go.etcd.io/bbolt"
)

// A writeTx is the write transaction in which one entry is applied.
type writeTx struct {
	read  *Tx
	index uint64 // of the entry
	// changes are record and link changes that the transaction has yet to write. Commands
	// that put or delete records read them first; they are written before any other command.
	changes changes
	// damaged is called with damage that a command goes on in spite of.
	damaged func(error)
}

func (tx *writeTx) bucket(name string) *bbolt.Bucket { return tx.read.bucket(name) }

func (tx *writeTx) nested(name, id string) *bbolt.Bucket { return tx.read.nested(name, id) }
