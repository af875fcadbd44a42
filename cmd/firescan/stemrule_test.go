package main

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	apiclient "firescan/api/client"
)

// TestStemRule changes the rule of a destination: the files that are linked by their stem alone
// follow without a sync, and are counted.
func TestStemRule(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	l := newLateServer(t, time.Second, false)
	named, stem, other := "a/app.example.com-2024.backup", "a/app.example.com-2024.meta.json.gz", "a/app.other.net-2023.backup"
	l.store.put(t, map[string]int{named: 3, stem: 4, other: 5})
	p := serve(t, t.TempDir())
	id := p.connect(t, "backups", l.url, "AKIATEST", "secret")
	if err := p.putBackup(t, "bkp", id, named); err != nil {
		t.Fatal(err)
	}
	p.sync(t, id)
	stats := func() (s apiclient.FileStats) {
		t.Helper()
		if err := p.owner.call(t.Context(), http.MethodGet, destinationPath(id, "/files/stats"), nil, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	isOrphan := func(path string) bool {
		orphans, _ := p.list(t, id, url.Values{"orphansOnly": {"true"}, "prefix": {"a/"}})
		return slices.ContainsFunc(orphans, func(f apiclient.File) bool { return f.Path == path })
	}
	for _, step := range []struct {
		rule         string
		byStem       int64
		size         string
		otherOrphans bool
	}{{"firstDot", 2, "9", false}, {"knownSuffix", 1, "4", true}, {"firstDot", 2, "9", false}} {
		if err := p.owner.call(t.Context(), http.MethodPut, destinationPath(id, ""), map[string]string{"stemRule": step.rule}, nil); err != nil {
			t.Fatal(err)
		}
		await(t, step.rule+" decides", func() bool { return isOrphan(other) == step.otherOrphans })
		if isOrphan(named) || isOrphan(stem) {
			t.Errorf("%s: a file of the backup is an orphan", step.rule)
		}
		if s := stats(); s.LinkedByStemFiles != step.byStem || s.LinkedByStemSize != step.size {
			t.Errorf("%s: %d files of %s bytes are linked by their stem alone, want %d of %s", step.rule, s.LinkedByStemFiles, s.LinkedByStemSize, step.byStem, step.size)
		}
		err := p.owner.call(t.Context(), http.MethodDelete, destinationPath(id, "/files"), map[string]string{"path": stem}, nil)
		if !isCode(err, "FILE_NOT_ORPHAN") {
			t.Errorf("%s: deleting a file that shares the stem: %v", step.rule, err)
		}
	}
}
