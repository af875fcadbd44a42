package systemtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// TestModel holds the judge itself against histories of which the verdict is known.
func TestModel(t *testing.T) {
	op := func(verb verb, value string, out output, call, back int64) porcupine.Operation {
		return porcupine.Operation{Input: input{"k", verb, value}, Output: out, Call: call, Return: back}
	}
	told := func(value string) output { return output{sure: true, value: value} }
	const never = int64(1) << 60
	for name, c := range map[string]struct {
		ops  []porcupine.Operation
		want bool
	}{
		"what was put is read":             {[]porcupine.Operation{op(put, "a", told(""), 0, 1), op(get, "", told("a"), 2, 3)}, true},
		"a stale read":                     {[]porcupine.Operation{op(put, "a", told(""), 0, 1), op(put, "b", told(""), 2, 3), op(get, "", told("a"), 4, 5)}, false},
		"a lost write":                     {[]porcupine.Operation{op(put, "a", told(""), 0, 1), op(get, "", told(""), 2, 3)}, false},
		"an unknown write that came later": {[]porcupine.Operation{op(put, "a", output{}, 0, never), op(get, "", told(""), 2, 3), op(get, "", told("a"), 4, 5)}, true},
		"an unknown write that never came": {[]porcupine.Operation{op(put, "a", output{}, 0, never), op(get, "", told(""), 2, 3)}, true},
		"a write that came and went":       {[]porcupine.Operation{op(put, "a", output{}, 0, never), op(get, "", told("a"), 2, 3), op(get, "", told(""), 4, 5)}, false},
		"a deletion twice":                 {[]porcupine.Operation{op(put, "a", told(""), 0, 1), op(remove, "", output{sure: true, found: true}, 2, 3), op(remove, "", output{sure: true, found: true}, 4, 5)}, false},
		"made twice":                       {[]porcupine.Operation{op(create, "", told(""), 0, 1), op(count, "", output{sure: true, n: 2}, 2, 3)}, false},
		"perhaps made":                     {[]porcupine.Operation{op(create, "", output{}, 0, never), op(count, "", output{sure: true}, 2, 3), op(count, "", output{sure: true, n: 1}, 4, 5)}, true},
	} {
		if got := porcupine.CheckOperations(model(), c.ops); got != c.want {
			t.Errorf("%s: judged %v", name, got)
		}
	}
}

// TestLinearizable has clients of all nodes put, read and delete few things, again and
// again, while nodes are killed, frozen and cut off. There must be one order of all that
// was done which explains all that was seen.
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
	c.must(t, w.owner, asked{
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
	c.disturb(t, pick(15*time.Second, 60*time.Second))
	stop()
	clients.Wait()
	// What was found in the end counts, too.
	for i := range w.keys() {
		w.do(t.Context(), 0, input{key: w.key("projects", i), verb: get})
		w.do(t.Context(), 0, input{key: w.key("backups", i), verb: get})
		w.do(t.Context(), 0, input{key: w.key("destinations", i), verb: count})
	}

	h.judge(t)
	if h.sure < 200 {
		t.Errorf("only %d operations came to an end: the test tests little", h.sure)
	}
}

// workload is what the clients do.
type workload struct {
	*history
	t              testing.TB
	owner, service *client
	nodes          []*node
	home           string // the destination of all backup records
}

// keyLife is how long clients work on the same things, so that the judge has many short
// stories and not a few long ones.
const keyLife = 5 * time.Second

func (w *workload) keys() int { return int(time.Since(w.began)/keyLife) + 1 }

func (w *workload) key(kind string, i int) string { return fmt.Sprintf("%s/x%d", kind, i) }

// one does something at random.
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

// do carries an operation out on any node and notes what came of it.
func (w *workload) do(ctx context.Context, client int, in input) {
	begun := time.Now()
	n := w.nodes[rand.IntN(len(w.nodes))]
	out, ok := w.try(ctx, n, in)
	out.node = n.id
	if ctx.Err() == nil || out.sure || in.verb != get && in.verb != count {
		w.add(client, in, begun, out)
	}
	if !ok {
		time.Sleep(20 * time.Millisecond) // nobody is there; the next one may be
	}
}

// answerWithin is longer than any node takes to say that it has no leader.
const answerWithin = 5 * time.Second

func (w *workload) try(ctx context.Context, n *node, in input) (out output, ok bool) {
	kind, id, _ := splitKey(in.key)
	q := asked{path: "/api/v1/catalog/" + kind + "/" + id, within: answerWithin}
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
	a, err := w.service.ask(ctx, n, q)
	if err != nil || a.Status == http.StatusServiceUnavailable {
		return output{}, false
	}
	switch {
	case a.Status == http.StatusNotFound && in.verb != put:
		return output{sure: true}, true
	case !a.good():
		w.t.Errorf("%s %s: %s", q.method, q.path, a)
		return output{}, false
	}
	var data struct{ Name, Status string }
	if err := json.Unmarshal(a.Data, &data); err != nil && in.verb == get {
		w.t.Errorf("%s %s: %v", q.method, q.path, err)
	}
	return output{sure: true, found: true, value: data.Name + data.Status}, true
}

// create makes a destination, and tries again on other nodes under the same key until one
// says that it is there.
func (w *workload) create(ctx context.Context, name, key string) (output, bool) {
	for range 3 {
		n := w.nodes[rand.IntN(len(w.nodes))]
		a, err := w.owner.ask(ctx, n, asked{
			method: http.MethodPost, path: "/api/v1/storage/destinations", key: key, within: answerWithin,
			body: destinationOf(name, "some-bucket", "http://127.0.0.1:1"),
		})
		switch {
		case passing(a, err):
		case a.good():
			return output{sure: true}, true
		case a.Status == http.StatusConflict: // another node is at it
		default:
			w.t.Errorf("create %s: %s", name, a)
			return output{}, false
		}
	}
	return output{}, false
}

func (w *workload) count(ctx context.Context, n *node, name string) (output, bool) {
	a, err := w.owner.ask(ctx, n, asked{method: http.MethodGet, path: "/api/v1/storage/destinations", within: answerWithin})
	if err != nil || a.Status == http.StatusServiceUnavailable {
		return output{}, false
	}
	var all []struct{ Name string }
	if err := json.Unmarshal(a.Data, &all); err != nil || !a.good() {
		w.t.Errorf("count %s: %v, %v", name, a, err)
		return output{}, false
	}
	out := output{sure: true}
	for _, d := range all {
		if d.Name == name {
			out.n++
		}
	}
	return out, true
}
