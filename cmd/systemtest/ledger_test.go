package systemtest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A ledger continuously writes projects through given nodes, and remembers which writes
// were acknowledged.
type ledger struct {
	as   *client
	name string

	mu           sync.Mutex
	acknowledged []string
	failed       int
	slowest      time.Duration // response, successful or not
	gap          time.Duration // between two acknowledged writes
	last         time.Time
}

// write writes until ctx ends, through each of the nodes in turn.
func (l *ledger) write(ctx context.Context, nodes func() []*node) {
	l.last = time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		up := nodes()
		if len(up) == 0 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		id := fmt.Sprintf("%s-%d", l.name, i)
		a, err := l.as.do(ctx, up[i%len(up)], request{
			method: http.MethodPut, path: "/api/v1/catalog/projects/" + id, body: map[string]string{"id": id, "name": id},
		})
		l.record(id, a, err)
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *ledger) record(id string, a *response, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.slowest = max(l.slowest, a.took)
	}
	if err != nil || !a.ok() {
		l.failed++
		return
	}
	l.acknowledged = append(l.acknowledged, id)
	l.gap, l.last = max(l.gap, time.Since(l.last)), time.Now()
}

// verify checks that every node returns every acknowledged record.
func (l *ledger) verify(t testing.TB, nodes ...*node) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%s: %d writes were acknowledged, %d failed; longest gap %v, slowest response %v",
		l.name, len(l.acknowledged), l.failed, l.gap.Round(time.Millisecond), l.slowest.Round(time.Millisecond))
	if len(l.acknowledged) == 0 {
		t.Errorf("%s: no write was acknowledged: the test is void", l.name)
	}
	for i, id := range l.acknowledged {
		// The last records on all nodes, the others on one node each: a log does not lose
		// single entries in the middle.
		at := nodes
		if i < len(l.acknowledged)-20 {
			at = nodes[i%len(nodes) : i%len(nodes)+1]
		}
		for _, n := range at {
			a, _, err := l.as.retry(t.Context(), []*node{n}, request{method: http.MethodGet, path: "/api/v1/catalog/projects/" + id})
			if err != nil || !a.ok() {
				t.Errorf("%s was acknowledged, and %s returns %v, %v", id, n.id, a, err)
			}
		}
	}
}

// during runs fn with background tasks, stops the tasks and waits for them.
func during(t testing.TB, fn func(), tasks ...func(context.Context)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var background sync.WaitGroup
	for _, task := range tasks {
		background.Go(func() { task(ctx) })
	}
	defer background.Wait()
	defer stop()
	fn()
}
