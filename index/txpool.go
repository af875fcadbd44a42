package index

import (
	"errors"
	"os"
	"runtime/debug"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// idleTxs is the maximum number of read transactions that a segment keeps for later
// readers.
const idleTxs = 16

// A txPool has read transactions of a file that never changes, which can therefore be
// reused.
//
// A fault within bbolt, when the file is altered under its map, is turned into an error,
// but bbolt may have held a lock at that moment, and the next call would block forever.
// So bbolt is entered under our lock only, and never again after a fault.
type txPool struct {
	mu     sync.Mutex
	file   *os.File
	db     *bolt.DB
	idle   []*bolt.Tx
	broken error
}

// open maps f and takes ownership of it, also after an error.
func (p *txPool) open(f *os.File) error {
	p.file = f
	err := guard(func() (err error) {
		p.db, err = bolt.Open(f.Name(), 0, &bolt.Options{
			ReadOnly: true, NoStatistics: true,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if err != nil {
		_ = f.Close() // bbolt has closed it, unless it panicked
	}
	return err
}

// view runs fn in a read transaction. A fault or panic becomes an error that marks
// damage, for this and all later calls. fn must not call code of other packages' callers.
func (p *txPool) view(fn func(*bolt.Tx) error) error {
	tx, err := p.take()
	if err != nil {
		return err
	}
	err = guard(func() error { return fn(tx) })
	p.put(tx, err)
	return err
}

func (p *txPool) take() (tx *bolt.Tx, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return nil, p.broken
	}
	if n := len(p.idle); n > 0 {
		tx = p.idle[n-1]
		p.idle = p.idle[:n-1]
		return tx, nil
	}
	err = guard(func() (err error) {
		tx, err = p.db.Begin(false)
		return err
	})
	if errors.Is(err, errFault) {
		p.broken = err
	}
	return tx, err
}

func (p *txPool) put(tx *bolt.Tx, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, errFault) {
		p.broken = err
	}
	if len(p.idle) < idleTxs || p.broken != nil {
		p.idle = append(p.idle, tx)
		return
	}
	_ = tx.Rollback()
}

// close unmaps the file after the last reader. After a fault the map leaks, because bbolt
// must not be called again.
func (p *txPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		_ = p.file.Close()
		return
	}
	for _, tx := range p.idle {
		_ = tx.Rollback()
	}
	_ = p.db.Close()
}

// guard turns a panic or a memory fault in fn into an error.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(errFault, corruptf("reading it failed: %v", r))
		}
	}()
	return fn()
}
