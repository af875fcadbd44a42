package index

import "sync"

// residentBytes is how much of the mapped files may count as the process's memory before it is given back.
const residentBytes = 32 << 20

// faultBytes is what one read maps at most beyond what it asks for: Linux maps the pages around it that are in the cache.
const faultBytes = 64 << 10

// residency keeps the memory that reading maps flat. A mapped page that was read counts as resident until the map is told
// otherwise, so without it a node's resident memory would grow to the size of its index. Giving pages back leaves them in
// the page cache: reading them again costs a soft fault.
type residency struct {
	mu    sync.Mutex
	segs  map[*segment]struct{} // those that were read since
	bytes int
}

// touch notes that so many blocks of s were read.
func (r *residency) touch(s *segment, blocks int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.segs == nil {
		r.segs = map[*segment]struct{}{}
	}
	r.segs[s] = struct{}{}
	// Neighbouring blocks share what one fault maps.
	if r.bytes += min(blocks*faultBytes, int(s.size)); r.bytes < residentBytes {
		return
	}
	for s := range r.segs {
		dropMapped(s.pool.db, int(s.size))
	}
	clear(r.segs)
	r.bytes = 0
}

// forget is called before s is unmapped; its addresses may belong to anything afterwards.
func (r *residency) forget(s *segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.segs, s)
}
