package index

import "sync"

// residentBytes is the amount of mapped memory at which pages are released.
const residentBytes = 32 << 20

// faultBytes is the maximum that one read maps beyond what it needs: Linux maps
// surrounding pages that are in the cache.
const faultBytes = 64 << 10

// residency limits the resident memory of mapped files. A mapped page that was read
// counts as resident until it is released, so without this the resident memory of a node
// would grow to the size of its index. Released pages stay in the page cache: reading
// them again costs a soft fault.
type residency struct {
	mu    sync.Mutex
	files map[*txPool]int64 // sizes of the files that were read since
	bytes int
}

// touch notes that blocks of a file were read.
func (r *residency) touch(p *txPool, size int64, blocks int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil {
		r.files = map[*txPool]int64{}
	}
	r.files[p] = size
	// Neighboring blocks share what one fault maps.
	if r.bytes += min(blocks*faultBytes, int(size)); r.bytes < residentBytes {
		return
	}
	for p, size := range r.files {
		dropMapped(p.db, int(size))
	}
	clear(r.files)
	r.bytes = 0
}

// forget is called before a file is unmapped, after which its addresses may be reused.
func (r *residency) forget(p *txPool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.files, p)
}
