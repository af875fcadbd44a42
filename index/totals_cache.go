package index

import "sync"

// maxTotals is the maximum number of results that a snapshot caches.
const maxTotals = 64

type totalsKey struct {
	prefix string
	filter filter
}

// totalsCache caches results of Totals; concurrent callers of the same query wait for the
// first. The zero value is ready.
type totalsCache struct {
	mu    sync.Mutex
	calls map[totalsKey]*totalsCall
	order []totalsKey // oldest first
}

type totalsCall struct {
	once sync.Once
	t    Totals
	err  error
}

func (c *totalsCache) get(key totalsKey, compute func() (Totals, error)) (Totals, error) {
	c.mu.Lock()
	call := c.calls[key]
	if call == nil {
		if c.calls == nil {
			c.calls = map[totalsKey]*totalsCall{}
		}
		if len(c.order) == maxTotals {
			delete(c.calls, c.order[0])
			c.order = append(c.order[:0], c.order[1:]...)
		}
		call = new(totalsCall)
		c.calls[key] = call
		c.order = append(c.order, key)
	}
	c.mu.Unlock()
	// Errors are cached too: they mean that the shard is suspect, and a new snapshot will
	// follow.
	call.once.Do(func() { call.t, call.err = compute() })
	return call.t, call.err
}
