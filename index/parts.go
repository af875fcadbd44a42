package index

import (
	"fmt"
	"path/filepath"
	"sync"
)

// parts keeps track of incomplete copies from other nodes, so that nobody has to search
// for them among the files of a large shard, and permits one copy of a segment at a time.
type parts struct {
	mu   sync.Mutex
	tags map[string]string // of interrupted copies; GC may remove them meanwhile
	busy map[string]bool
}

func newParts() *parts {
	return &parts{tags: map[string]string{}, busy: map[string]bool{}}
}

func partKey(dest, id string) string { return filepath.Join(dest, id) }

// found records a file that existed when the store was opened.
func (p *parts) found(dest, id, tag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags[partKey(dest, id)] = tag
}

// begin reserves a segment for one copy and returns the tag of an incomplete copy, empty
// if there is none.
func (p *parts) begin(dest, id string) (tag string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := partKey(dest, id)
	if p.busy[key] {
		return "", fmt.Errorf("%w: a copy is in progress", ErrExists)
	}
	tag = p.tags[key]
	p.busy[key] = true
	delete(p.tags, key)
	return tag, nil
}

// end ends the reservation. tag is that of the incomplete copy that stays, empty if none
// does.
func (p *parts) end(dest, id, tag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := partKey(dest, id)
	delete(p.busy, key)
	if tag != "" {
		p.tags[key] = tag
	}
}
