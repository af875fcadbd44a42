package systemtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestLateWrites sends writes to a frozen node, gives them up, and writes the same records
// through another node. The frozen node continues with the first writes in its sockets,
// which must not replace the acknowledged ones.
func TestLateWrites(t *testing.T) {
	const giveUp, frozen, records = 2 * time.Second, 4 * time.Second, 4
	c := newCluster(t, settings{nodes: 3})
	service := c.as(t, "late", "service")
	for round := range pick(3, 20) {
		leader := c.leader(t)
		victim := leader
		if followers := c.others(leader); round > 0 {
			victim = followers[round%2]
		}
		write := func(i int, name string) request {
			path := fmt.Sprintf("/api/v1/catalog/projects/late-%d-%d", round, i)
			return request{method: http.MethodPut, path: path, body: map[string]string{"name": name}, timeout: giveUp}
		}
		for i := range records {
			c.must(t, service, write(i, "first"), nil)
		}
		victim.freeze(t)
		began := time.Now()
		var clients sync.WaitGroup
		for i := range records {
			clients.Go(func() { _, _ = service.do(t.Context(), victim, write(i, "given up")) })
		}
		clients.Wait()
		for i := range records {
			if a, _, err := service.retry(t.Context(), c.others(victim), write(i, "acknowledged")); err != nil || !a.ok() {
				t.Fatalf("round %d: write to another node than %s: %v, %v", round, victim.id, a, err)
			}
		}
		time.Sleep(time.Until(began.Add(frozen)))
		victim.thaw(t)
		c.awaitReady(t, victim)
		time.Sleep(300 * time.Millisecond)
		for i := range records {
			n := c.nodes[i%len(c.nodes)]
			a, _, err := service.retry(t.Context(), []*node{n}, request{method: http.MethodGet, path: write(i, "").path})
			if err != nil || !a.ok() {
				t.Fatalf("round %d: read from %s: %v, %v", round, n.id, a, err)
			}
			var project struct{ Name string }
			if err := json.Unmarshal(a.Data, &project); err != nil || project.Name != "acknowledged" {
				t.Errorf("round %d: %s has %q after %s was frozen (leader: %v): %v", round, n.id, project.Name, victim.id, victim == leader, err)
			}
		}
		if a, _, err := service.retry(t.Context(), []*node{victim}, write(0, "afterwards")); err != nil || !a.ok() {
			t.Errorf("round %d: %s refuses new writes: %v, %v", round, victim.id, a, err)
		}
	}
}
