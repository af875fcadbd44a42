package index

import "testing"

func TestQueryReturnsAllEntriesOnce(t *testing.T) {
	s := newStore(t, t.TempDir())
	entries := flatEntries(5_000)
	fill(t, s, "d", "g", entries, nil, 7, 1000, 2345)
	v := view(t, s, "d")
	i := 0
	_, more, err := v.Query(Query{}, func(e *Entry) bool {
		want := entries[i]
		if string(e.Path) != string(want.Path) || e.Size != want.Size || e.ModTime != want.ModTime ||
			e.Digest != want.Digest || e.Type != want.Type || e.Linked != want.Linked {
			t.Fatalf("entry %d is %+v, want %+v", i, e, want)
		}
		i++
		return true
	})
	if err != nil || more || i != len(entries) {
		t.Fatalf("%d entries, more %v, %v", i, more, err)
	}
}
