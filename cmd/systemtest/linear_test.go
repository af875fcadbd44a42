package systemtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// TestModel checks the model with small histories.
func TestModel(t *testing.T) {
	op := func(verb verb, value string, out output, call, back int64) porcupine.Operation {
		return porcupine.Operation{Input: input{"k", verb, value}, Output: out, Call: call, Return: back}
	}
	known := func(value string) output { return output{known: true, value: value} }
	const never = int64(1) << 60
	for name, c := range map[string]struct {
		ops  []porcupine.Operation
		want bool
	}{
		"a read after a write":                {[]porcupine.Operation{op(put, "a", known(""), 0, 1), op(get, "", known("a"), 2, 3)}, true},
		"a stale read":                        {[]porcupine.Operation{op(put, "a", known(""), 0, 1), op(put, "b", known(""), 2, 3), op(get, "", known("a"), 4, 5)}, false},
		"a lost write":                        {[]porcupine.Operation{op(put, "a", known(""), 0, 1), op(get, "", known(""), 2, 3)}, false},
		"an unknown write with a late effect": {[]porcupine.Operation{op(put, "a", output{}, 0, never), op(get, "", known(""), 2, 3), op(get, "", known("a"), 4, 5)}, true},
		"an unknown write without effect":     {[]porcupine.Operation{op(put, "a", output{}, 0, never), op(get, "", known(""), 2, 3)}, true},
		"a write that is lost again":          {[]porcupine.Operation{op(put, "a", output{}, 0, never), op(get, "", known("a"), 2, 3), op(get, "", known(""), 4, 5)}, false},
		"a deletion twice":                    {[]porcupine.Operation{op(put, "a", known(""), 0, 1), op(remove, "", output{known: true, found: true}, 2, 3), op(remove, "", output{known: true, found: true}, 4, 5)}, false},
		"created twice":                       {[]porcupine.Operation{op(create, "", known(""), 0, 1), op(count, "", output{known: true, n: 2}, 2, 3)}, false},
		"unknown creation":                    {[]porcupine.Operation{op(create, "", output{}, 0, never), op(count, "", output{known: true}, 2, 3), op(count, "", output{known: true, n: 1}, 4, 5)}, true},
	} {
		if got := porcupine.CheckOperations(model(), c.ops); got != c.want {
			t.Errorf("%s: linearizable %v", name, got)
		}
	}
}

// TestLinearizable puts, reads and deletes few records through all nodes while nodes are
// killed, frozen and partitioned. The history must be linearizable.
func TestLinearizable(t *testing.T) {
	for round := range pick(1, 20) {
		t.Run(fmt.Sprint(round+1), func(t *testing.T) { linearizable(t, canNetwork()) })
	}
}

func linearizable(t *testing.T, network bool) {
	t.Helper()
	c := newCluster(t, settings{nodes: 3, network: network})
	h := &history{began: time.Now()}
	w := &workload{
		t: t, history: h, owner: c.as(t, "linear", "owner"), service: c.as(t, "linear", "service"), nodes: c.nodes,
	}
	var made struct{ ID string }
	c.must(t, w.owner, request{
		method: http.MethodPost, path: "/api/v1/storage/destinations", key: "home", body: destinationOf("home", "some-bucket", "http://127.0.0.1:1"),
	}, &made)
	w.home = made.ID

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() {
			for ctx.Err() == nil {
				w.one(ctx, i)
			}
		})
	}
	c.injectFaults(t, pick(15*time.Second, 60*time.Second), func() bool { return h.completed() >= leastOperations })
	stop()
	clients.Wait()
	// The final reads are part of the history.
	for i := range w.keys() {
		w.do(t.Context(), 0, input{key: w.key("projects", i), verb: get})
		w.do(t.Context(), 0, input{key: w.key("backups", i), verb: get})
		w.do(t.Context(), 0, input{key: w.key("destinations", i), verb: count})
	}

	h.check(t)
	if h.completed() < leastOperations {
		t.Errorf("only %d operations completed: the test is void", h.completed())
	}
}

// A workload is the activity of the clients.
type workload struct {
	t              testing.TB
	history        *history
	owner, service *client
	nodes          []*node
	home           string // the destination of all backup records

	mu      sync.Mutex
	current int       // number of the keys in use
	since   time.Time // when they came into use
	unknown int       // operations on them with an unknown output
}

// The clients change to new keys after keyLife, or after maxUnknown operations with an unknown
// output: the time of the check grows with the length of a key's history, and doubles with
// each unknown operation.
const (
	keyLife    = 5 * time.Second
	maxUnknown = 4
	// leastOperations is how many operations with a known output make a history that says
	// something.
	leastOperations = 200
)

// keys returns how many keys of each kind were used so far.
func (w *workload) keys() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unknown >= maxUnknown || time.Since(w.since) > keyLife {
		w.current, w.unknown, w.since = w.current+1, 0, time.Now()
	}
	return w.current
}

// countUnknown counts an operation with an unknown output.
func (w *workload) countUnknown() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unknown++
}

func (w *workload) key(kind string, i int) string { return fmt.Sprintf("%s/x%d", kind, i) }

// one runs a random operation.
func (w *workload) one(ctx context.Context, client int) {
	i := w.keys() - 1
	in := input{value: fmt.Sprintf("v%d-%d", client, rand.Uint32())}
	switch n := rand.IntN(20); {
	case n < 14:
		in.key = w.key([]string{"projects", "backups"}[n%2], i)
		in.verb = []verb{put, put, get, get, get, get, remove}[n/2]
	case n < 16:
		in.key, in.verb = w.key("destinations", i), create
	default:
		in.key, in.verb = w.key("destinations", i), count
	}
	w.do(ctx, client, in)
}

// do runs an operation on a random node and adds it to the history.
func (w *workload) do(ctx context.Context, client int, in input) {
	begun := time.Now()
	n := w.nodes[rand.IntN(len(w.nodes))]
	out, ok := w.try(ctx, n, in)
	out.node = n.id
	if out.unsent {
		time.Sleep(20 * time.Millisecond)
		return // it has no effect, and each unknown operation multiplies the check
	}
	write := in.verb != get && in.verb != count
	if ctx.Err() == nil || out.known || write {
		w.history.add(client, in, begun, out)
	}
	if write && !out.known {
		w.countUnknown()
	}
	if !ok {
		time.Sleep(20 * time.Millisecond) // the node may be down; the next one may not
	}
}

// requestTimeout is longer than a node takes to respond with NO_LEADER.
const requestTimeout = 5 * time.Second

func (w *workload) try(ctx context.Context, n *node, in input) (out output, ok bool) {
	kind, id, _ := splitKey(in.key)
	q := request{path: "/api/v1/catalog/" + kind + "/" + id, timeout: requestTimeout}
	switch in.verb {
	case put:
		q.method = http.MethodPut
		q.body = map[string]any{"id": id, "name": in.value}
		if kind == "backups" {
			q.body = map[string]any{
				"id": id, "storageId": w.home, "projectId": "p", "status": in.value, "size": 1, "createdAt": "2024-01-15T10:00:00Z", "storagePath": "a/" + id + ".backup",
			}
		}
	case get:
		q.method = http.MethodGet
	case remove:
		q.method = http.MethodDelete
	case create:
		return w.create(ctx, id, in.value)
	case count:
		return w.count(ctx, n, id)
	}
	a, err := w.service.do(ctx, n, q)
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return output{unsent: true}, false
	}
	if err != nil || a.Status == http.StatusServiceUnavailable {
		return output{}, false
	}
	switch {
	case a.Status == http.StatusNotFound && in.verb != put:
		return output{known: true}, true
	case !a.ok():
		w.t.Errorf("%s %s: %s", q.method, q.path, a)
		return output{}, false
	}
	var data struct{ Name, Status string }
	if err := json.Unmarshal(a.Data, &data); err != nil && in.verb == get {
		w.t.Errorf("%s %s: %v", q.method, q.path, err)
	}
	return output{known: true, found: true, value: data.Name + data.Status}, true
}

// create creates a destination, with retries on other nodes under the same key.
func (w *workload) create(ctx context.Context, name, key string) (output, bool) {
	for range 3 {
		n := w.nodes[rand.IntN(len(w.nodes))]
		a, err := w.owner.do(ctx, n, request{
			method: http.MethodPost, path: "/api/v1/storage/destinations", key: key, timeout: requestTimeout,
			body: destinationOf(name, "some-bucket", "http://127.0.0.1:1"),
		})
		switch {
		case retryable(a, err):
		case a.ok():
			return output{known: true}, true
		case a.Status == http.StatusConflict: // another node is processing it
		default:
			w.t.Errorf("create %s: %s", name, a)
			return output{}, false
		}
	}
	return output{}, false
}

func (w *workload) count(ctx context.Context, n *node, name string) (output, bool) {
	a, err := w.owner.do(ctx, n, request{method: http.MethodGet, path: "/api/v1/storage/destinations", timeout: requestTimeout})
	if err != nil || a.Status == http.StatusServiceUnavailable {
		return output{}, false
	}
	var all []struct{ Name string }
	if err := json.Unmarshal(a.Data, &all); err != nil || !a.ok() {
		w.t.Errorf("count %s: %v, %v", name, a, err)
		return output{}, false
	}
	out := output{known: true}
	for _, d := range all {
		if d.Name == name {
			out.n++
		}
	}
	return out, true
}
