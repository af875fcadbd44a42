package systemtest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What clients saw is judged by two models. A record is a register: put, get, delete. The
// destinations of a name are a counter: each creation adds one, however often it was
// tried, and a reader counts those it is shown.

// verb is what an operation does.
type verb string

const (
	put    verb = "put"
	get    verb = "get"
	remove verb = "delete"
	create verb = "create"
	count  verb = "count"
)

// input is an operation on one record or name.
type input struct {
	key   string
	verb  verb
	value string // that is put
}

// output is what the client was told. Without sure, it was told nothing: the operation
// may take effect whenever, or never, which is the same as at the very end.
type output struct {
	sure  bool
	value string // that was got; empty is none
	found bool   // by a deletion
	n     int    // that were counted
	node  string // that was asked, for the story
}

// state is a record's value, or how many destinations of a name there are.
type state struct {
	value string
	n     int
}

// step is the one truth about what follows what.
func step(s state, in input, out output) (bool, state) {
	switch in.verb {
	case put:
		return true, state{value: in.value}
	case get:
		return s.value == out.value, s
	case remove:
		return !out.sure || out.found == (s.value != ""), state{}
	case create:
		return true, state{n: s.n + 1}
	case count:
		return s.n == out.n, s
	}
	return false, s
}

// model tells records and names apart, since none knows of the others.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
			at := map[string]int{}
			for _, op := range history {
				key := op.Input.(input).key //nolint:forcetypeassert // we made it
				i, ok := at[key]
				if !ok {
					i = len(parts)
					at[key], parts = i, append(parts, nil)
				}
				parts[i] = append(parts[i], op)
			}
			return parts
		},
		Init: func() any { return state{} },
		Step: func(s, in, out any) (bool, any) {
			return step(s.(state), in.(input), out.(output)) //nolint:forcetypeassert // we made them
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
		DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
	}
}

// history is what all clients did and saw, on one clock.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
	sure  int
}

// add notes an operation that was begun at a moment and ends now. What read nothing for
// sure tells nothing.
func (h *history) add(client int, in input, begun time.Time, out output) {
	ended := time.Since(h.began).Nanoseconds()
	if !out.sure {
		if in.verb == get || in.verb == count {
			return
		}
		ended = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if out.sure {
		h.sure++
	}
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: client, Input: in, Call: begun.Sub(h.began).Nanoseconds(), Output: out, Return: ended, Metadata: out.node,
	})
}

// judge finds out whether there is one order of the operations that explains what was
// seen. Of a record of which there is none it shows the whole story.
func (h *history) judge(t testing.TB) {
	t.Helper()
	verdict := porcupine.CheckOperationsTimeout(model(), h.ops, 5*time.Minute)
	t.Logf("%d operations, of %d the outcome is known: %s", len(h.ops), h.sure, verdict)
	if verdict == porcupine.Ok {
		return
	}
	t.Errorf("no order of the operations explains what was seen (%s)", verdict)
	for _, part := range model().Partition(h.ops) {
		if porcupine.CheckOperationsTimeout(model(), part, time.Minute) == porcupine.Ok {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		var story strings.Builder
		for _, op := range part {
			ended := "never"
			if op.Return != math.MaxInt64 {
				ended = time.Duration(op.Return).String()
			}
			fmt.Fprintf(&story, "%15v to %-15s client %d %s %+v: %+v\n", time.Duration(op.Call), ended, op.ClientId, op.Metadata, op.Input, op.Output)
		}
		t.Logf("it began %s; the story that makes no sense:\n%s", h.began.UTC().Format(time.RFC3339Nano), &story)
	}
}
