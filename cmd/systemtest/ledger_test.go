package systemtest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// ledger writes projects through given nodes all the time, and remembers what was promised
// to be stored.
type ledger struct {
	as   *client
	name string

	mu       sync.Mutex
	promised []string
	refused  int
	slowest  time.Duration // answer, good or bad
	gap      time.Duration // between two promises
	last     time.Time
}

// write writes until ctx ends, by turns through the nodes that nodes names.
func (l *ledger) write(ctx context.Context, nodes func() []*node) {
	l.last = time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		up := nodes()
		if len(up) == 0 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		id := fmt.Sprintf("%s-%d", l.name, i)
		a, err := l.as.ask(ctx, up[i%len(up)], asked{
			method: http.MethodPut, path: "/api/v1/catalog/projects/" + id, body: map[string]string{"id": id, "name": id},
		})
		l.note(id, a, err)
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *ledger) note(id string, a *answer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.slowest = max(l.slowest, a.took)
	}
	if err != nil || !a.good() {
		l.refused++
		return
	}
	l.promised = append(l.promised, id)
	l.gap, l.last = max(l.gap, time.Since(l.last)), time.Now()
}

// holds checks that every node tells every record that was promised.
func (l *ledger) holds(t testing.TB, nodes ...*node) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%s: %d writes were promised, %d were not; longest without a promise %v, slowest answer %v",
		l.name, len(l.promised), l.refused, l.gap.Round(time.Millisecond), l.slowest.Round(time.Millisecond))
	if len(l.promised) == 0 {
		t.Errorf("%s: not one write was promised: the test tests nothing", l.name)
	}
	for i, id := range l.promised {
		// Each of the last, and of the others on some node: that a node lacks but one is not how
		// a log fails.
		at := nodes
		if i < len(l.promised)-20 {
			at = nodes[i%len(nodes) : i%len(nodes)+1]
		}
		for _, n := range at {
			a, _, err := l.as.persist(t.Context(), []*node{n}, asked{method: http.MethodGet, path: "/api/v1/catalog/projects/" + id})
			if err != nil || !a.good() {
				t.Errorf("%s was promised to be stored, and %s answers %v, %v", id, n.id, a, err)
			}
		}
	}
}

// during runs a background task while fn works, and waits for its end.
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
