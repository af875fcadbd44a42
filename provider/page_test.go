package provider_test

import (
	"strings"
	"testing"

	"firescan/provider"
)

func TestPageKeepsItsObjects(t *testing.T) {
	var page provider.Page
	for round := range 3 {
		page.Reset()
		var want []string
		for i := range 500 {
			key := strings.Repeat("k", i%40) + string(rune('a'+round))
			want = append(want, key)
			page.Add([]byte(key), []byte("tag"), int64(i), 1)
		}
		for i, o := range page.Objects {
			if string(o.Key) != want[i] || string(o.Tag) != "tag" || o.Size != int64(i) {
				t.Fatalf("round %d, object %d is %q, tag %q, %d bytes", round, i, o.Key, o.Tag, o.Size)
			}
		}
	}
	allocs := testing.AllocsPerRun(10, func() {
		page.Reset()
		for range 500 {
			page.Add([]byte("a key of some length"), []byte("tag"), 1, 1)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations in a page that is used again", allocs)
	}
}
