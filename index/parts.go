package index

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

// partSuffix is of files that are being copied from another node: <segment>.<tag>.part.
const partSuffix = ".part"

// partName takes the name of such a file apart.
func partName(file string) (id, tag string, ok bool) {
	name, ok := strings.CutSuffix(file, partSuffix)
	at := strings.LastIndexByte(name, '.')
	if !ok || at < 0 {
		return "", "", false
	}
	return name[:at], name[at+1:], true
}

// parts knows what has come in part from other nodes, so that nobody has to look for it
// among the files of a large shard, and lets a segment come once at a time.
type parts struct {
	mu   sync.Mutex
	tags map[string]string // of what was broken off; may be swept meanwhile
	busy map[string]*Incoming
}

func newParts() *parts {
	return &parts{tags: map[string]string{}, busy: map[string]*Incoming{}}
}

func partKey(dest, id string) string { return filepath.Join(dest, id) }

// found notes a file that was there when the store was opened.
func (p *parts) found(dest, id, tag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags[partKey(dest, id)] = tag
}

// take hands a segment to in, with the tag of what is here of it.
func (p *parts) take(in *Incoming) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := partKey(in.dest, in.id)
	if p.busy[key] != nil {
		return in.wrap(fmt.Errorf("%w: it is under way already", ErrExists))
	}
	p.busy[key], in.tag = in, p.tags[key]
	delete(p.tags, key)
	return nil
}

// leave takes it back, when in still has it.
func (p *parts) leave(in *Incoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := partKey(in.dest, in.id)
	if p.busy[key] != in {
		return
	}
	delete(p.busy, key)
	if in.tag != "" {
		p.tags[key] = in.tag
	}
}
