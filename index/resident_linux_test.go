package index

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// residentFile is what of mapped files counts as this process's memory, in bytes.
func residentFile(t *testing.T) int {
	t.Helper()
	buf, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(buf)) {
		if rest, ok := strings.CutPrefix(line, "RssFile:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no RssFile in /proc/self/status")
	return 0
}

func TestReadingKeepsResidentMemoryFlat(t *testing.T) {
	s := newStore(t, t.TempDir())
	// Digests of many bytes would do as well: long names make much data of few files.
	entries := flatEntries(50_000)
	for i := range entries {
		name := append([]byte(nil), entries[i].Path...)
		for range 24 {
			name = append(name, entries[(i*7919+len(name))%len(entries)].Path[23:39]...)
			name = append(name, 'x')
		}
		entries[i].Path = name
	}
	for i := range 4 {
		fill(t, s, strconv.Itoa(i), "g", entries, nil, 1, 25_000)
	}
	var size int64
	at := residentFile(t)
	for i := range 4 {
		v := view(t, s, strconv.Itoa(i))
		for _, info := range v.Segments() {
			size += info.FileSize
		}
		if n := count(t, v); n != len(entries) {
			t.Fatal(n)
		}
	}
	if grown := residentFile(t) - at; size < 2*residentBytes || grown > residentBytes+residentBytes/2 {
		t.Fatalf("reading %d bytes made %d of them resident", size, grown)
	}
}
