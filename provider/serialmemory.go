package provider

import (
	"fmt"
	"sync"

	"github.com/dustin/go-humanize"
)

// MaxSerialMemory is the default of NewSerialMemory: enough for about 1.5 million
// objects.
const MaxSerialMemory = 256 << 20

// objectSize is the memory of an Object in a listing, without its key and tag: its 64
// bytes and the spare room of a growing slice.
const objectSize = 88

// pageSize is the memory of a page in a listing, without its objects: the hashes of its token
// and its first key.
const pageSize = 2 * 32

// SerialMemory bounds the memory of all serial listings of a process together. It is safe
// for concurrent use.
type SerialMemory struct {
	limit int64

	mu   sync.Mutex
	used int64
}

// NewSerialMemory returns a SerialMemory of limit bytes.
func NewSerialMemory(limit int64) *SerialMemory { return &SerialMemory{limit: limit} }

func (m *SerialMemory) reserve(n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used+n > m.limit {
		return &Error{
			Kind: Invalid, Op: "list",
			Reason: fmt.Sprintf("the server cannot be listed by ranges, and its list exceeds the %s of memory for sorting lists: "+
				"divide the bucket into destinations with separate paths, or sync fewer such buckets at a time", humanize.IBytes(uint64(m.limit))),
		}
	}
	m.used += n
	return nil
}

func (m *SerialMemory) release(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
}
