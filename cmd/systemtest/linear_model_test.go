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

// There are two models. A record is a register: put, get, delete. The destinations of a
// name are a counter: each creation adds one, however often it was retried, and a read
// counts the destinations in the list.

// A verb is the kind of an operation.
type verb string

const (
	put    verb = "put"
	get    verb = "get"
	remove verb = "delete"
	create verb = "create"
	count  verb = "count"
)

// An input is an operation on one record or name.
type input struct {
	key   string
	verb  verb
	value string // to put
}

// An output is the response. If it is not known, the operation may take effect at any
// time, or never, which is the same as at the very end.
type output struct {
	known  bool
	unsent bool   // the node refused the connection: nothing happened
	value  string // of a get; empty for no record
	found  bool   // of a delete
	n      int    // of a count
	node   string // that served the request, for the log
}

// A state is the value of a record, or the number of destinations of a name.
type state struct {
	value string
	n     int
}

// step applies an operation to a state, and reports whether the output is possible.
func step(s state, in input, out output) (bool, state) {
	switch in.verb {
	case put:
		return true, state{value: in.value}
	case get:
		return s.value == out.value, s
	case remove:
		return !out.known || out.found == (s.value != ""), state{}
	case create:
		return true, state{n: s.n + 1}
	case count:
		return s.n == out.n, s
	}
	return false, s
}

// model partitions the history by record and name, which are independent.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
			at := map[string]int{}
			for _, op := range history {
				key := op.Input.(input).key //nolint:forcetypeassert // always an input
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
			return step(s.(state), in.(input), out.(output)) //nolint:forcetypeassert // always these types
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
		DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
	}
}

// A history has the operations of all clients, on one clock.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
	known int
}

// add records an operation that started at begun and ends now. A read without a known
// output is ignored.
func (h *history) add(client int, in input, begun time.Time, out output) {
	ended := time.Since(h.began).Nanoseconds()
	if !out.known {
		if in.verb == get || in.verb == count {
			return
		}
		ended = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if out.known {
		h.known++
	}
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: client, Input: in, Call: begun.Sub(h.began).Nanoseconds(), Output: out, Return: ended, Metadata: out.node,
	})
}

// completed returns how many operations have a known output.
func (h *history) completed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known
}

// check checks that the history is linearizable. It logs the history of each record that
// is not.
func (h *history) check(t testing.TB) {
	t.Helper()
	result := porcupine.CheckOperationsTimeout(model(), h.ops, 5*time.Minute)
	t.Logf("%d operations, %d with a known output: %s", len(h.ops), h.known, result)
	if result == porcupine.Ok {
		return
	}
	t.Errorf("the history is not linearizable (%s)", result)
	for _, part := range model().Partition(h.ops) {
		if porcupine.CheckOperationsTimeout(model(), part, time.Minute) == porcupine.Ok {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		var log strings.Builder
		for _, op := range part {
			ended := "never"
			if op.Return != math.MaxInt64 {
				ended = time.Duration(op.Return).String()
			}
			fmt.Fprintf(&log, "%15v to %-15s client %d %s %+v: %+v\n", time.Duration(op.Call), ended, op.ClientId, op.Metadata, op.Input, op.Output)
		}
		t.Logf("started at %s; history that is not linearizable:\n%s", h.began.UTC().Format(time.RFC3339Nano), &log)
	}
}
