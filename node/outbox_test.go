package node

import (
	"fmt"
	"testing"
)

// TestOutbox: a peer is told the newest of each key in the order in which the keys came,
// and of what is too much misses what matters least.
func TestOutbox(t *testing.T) {
	box := &outbox{filled: make(chan struct{}, 1)}
	put := func(key string, last bool, event string) { box.put(letter{key, last, []byte(event)}) }
	put("sync_1", false, "1 %")
	put("sync_2", false, "5 %")
	put("", false, "statistics")
	put("sync_1", false, "2 %")
	put("sync_1", true, "done")
	put("", false, "statistics again")
	put("sync_1", false, "late")
	var told []string
	for l, ok := box.take(); ok; l, ok = box.take() {
		told = append(told, string(l.event))
	}
	if got := fmt.Sprintf("%q", told); got != `["done" "5 %" "statistics" "statistics again" "late"]` {
		t.Errorf("told %s", got)
	}
	if len(box.filled) != 1 {
		t.Error("nobody is woken")
	}
	put("sync_3", true, "done")
	for i := range relayQueue {
		put("", false, fmt.Sprint(i))
	}
	if len(box.letters) != relayQueue || string(box.letters[0].event) != "done" || string(box.letters[1].event) != "1" {
		t.Errorf("%d letters, of which the first are %s and %s", len(box.letters), box.letters[0].event, box.letters[1].event)
	}
	for i := range relayQueue {
		put(fmt.Sprint("sync_", i), true, "done")
	}
	if len(box.letters) != relayQueue {
		t.Errorf("%d letters", len(box.letters))
	}
}
