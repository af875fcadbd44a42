package index

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firescan/keyspace"
)

// A world is the naive model: what is in the bucket, what the shard should say, and the
// links that decide it.
type world struct {
	files   map[string]Entry
	linked  map[string]bool   // by stem
	unnamed map[string]bool   // stems of which records name only some files
	pitr    map[string]bool   // prefixes
	records map[string]string // backup id → storagePath
}

// look classifies a file. Of a stem that is unnamed, the records name only files with a b.
func (w *world) look(path []byte) (Class, error) {
	typ := Unknown
	for i, suffix := range []string{".backup", ".meta", ".auth"} {
		if strings.HasSuffix(string(path), suffix) {
			typ = Type(i)
		}
	}
	for p := range w.pitr {
		if bytes.HasPrefix(path, []byte(p)) {
			return Class{Pitr, true, false}, nil
		}
	}
	for _, name := range w.records {
		if strings.HasPrefix(string(path), name+"/") {
			return Class{typ, true, false}, nil
		}
	}
	linked := w.linked[stemOf(string(path))]
	return Class{typ, linked, linked && w.unnamed[stemOf(string(path))] && !bytes.Contains(path, []byte("b"))}, nil
}

func (w *world) missing(stem []byte) (list []Missing, err error) {
	for id, path := range w.records {
		if string(keyspace.Stem([]byte(path))) == string(stem) {
			list = append(list, Missing{Org: []byte("org"), BackupID: []byte(id), Path: []byte(path)})
		}
	}
	return list, nil
}

// sees reports whether the bucket has an object, or files below a folder.
func (w *world) sees(path string) bool {
	if _, ok := w.files[path]; ok {
		return true
	}
	for file := range w.files {
		if strings.HasSuffix(path, "/") && strings.HasPrefix(file, path) {
			return true
		}
	}
	return false
}

func (w *world) lost() (list []string) {
	for id, path := range w.records {
		if !w.sees(path) {
			list = append(list, path+"\x00"+id)
		}
	}
	slices.Sort(list)
	return list
}

func (w *world) sorted() []Entry {
	list := make([]Entry, 0, len(w.files))
	for _, e := range w.files {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return bytes.Compare(a.Path, b.Path) })
	return list
}

// relink sets type and link of every file as the links are now.
func (w *world) relink() {
	for path, e := range w.files {
		c, _ := w.look(e.Path)
		e.Type, e.Linked, e.ByStem = c.Type, c.Linked, c.ByStem
		w.files[path] = e
	}
}

func (w *world) matches(q *Query, e *Entry) bool {
	return bytes.HasPrefix(e.Path, q.Prefix) &&
		(q.Type == nil || *q.Type == e.Type) &&
		(!q.OrphansOnly || !e.Linked) &&
		(q.ModifiedBefore == 0 || e.ModTime > 0 && e.ModTime < q.ModifiedBefore/60_000*60_000)
}

// Few letters make stems collide, prefixes nest and dots, slashes and bytes next to them
// meet.
var (
	genName = rapid.StringOfN(rapid.SampledFrom([]rune("ab0f.-/ é\x01")), 1, 7, -1)
	genPath = rapid.Custom(func(t *rapid.T) string {
		dir := rapid.SampledFrom([]string{"", "a/", "a/b/", "a/b.backup/", "backups/production/"}).Draw(t, "dir")
		return dir + genName.Draw(t, "name") + rapid.SampledFrom([]string{"", ".backup", ".meta", ".auth", ".backup.gz"}).Draw(t, "ext")
	})
	genTime = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 400_000), rapid.Map(rapid.Int64Range(0, 3e9), func(s int64) int64 { return s * 1000 }))
)

func stemOf(path string) string { return string(keyspace.Stem([]byte(path))) }

func (w *world) draw(t *rapid.T) {
	for _, p := range rapid.SliceOfNDistinct(genPath, 0, 400, rapid.ID).Draw(t, "paths") {
		w.files[p] = Entry{
			Path: []byte(p), Size: rapid.Int64Range(0, 1<<40).Draw(t, "size"), ModTime: genTime.Draw(t, "time"),
			Digest: rapid.Uint64().Draw(t, "digest"),
		}
		if rapid.Bool().Draw(t, "linked") {
			w.linked[stemOf(p)] = true
		}
		w.unnamed[stemOf(p)] = rapid.Bool().Draw(t, "unnamed")
	}
	for i, p := range rapid.SliceOfN(genPath, 0, 20).Draw(t, "records") {
		w.records[fmt.Sprint("b", i)] = p
		w.linked[stemOf(p)] = true
	}
	w.relink()
}

// publish writes the world as a new generation of random segments.
func (w *world) publish(t *rapid.T, s *Store, gen string, at uint64) {
	list := w.sorted()
	var missing []Missing
	for _, key := range w.lost() {
		path, id, _ := strings.Cut(key, "\x00")
		missing = append(missing, Missing{[]byte("org"), []byte(id), []byte(path)})
	}
	var cuts []int
	if len(list) > 1 {
		cuts = rapid.SliceOfNDistinct(rapid.IntRange(1, len(list)-1), 0, min(4, len(list)-1), rapid.ID).Draw(t, "cuts")
		slices.Sort(cuts)
	}
	fill(t, s, "d", gen, list, missing, at, cuts...)
}

// change alters the world at random and returns the change that describes it.
func (w *world) change(t *rapid.T, index uint64) Change {
	c := Change{Index: index}
	list := w.sorted()
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		path := genPath.Draw(t, "path")
		if len(list) > 0 && rapid.Bool().Draw(t, "of the bucket") {
			path = string(list[rapid.IntRange(0, len(list)-1).Draw(t, "at")].Path)
		}
		stem := stemOf(path)
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			w.linked[stem] = !w.linked[stem] || rapid.Bool().Draw(t, "still linked")
			w.unnamed[stem] = rapid.Bool().Draw(t, "unnamed")
			c.Stems = append(c.Stems, []byte(stem))
		case 1:
			delete(w.files, path)
			c.Deleted = append(c.Deleted, []byte(path))
		case 2:
			prefix := path[:rapid.IntRange(0, len(path)).Draw(t, "prefix")]
			w.pitr[prefix] = !w.pitr[prefix]
			if !w.pitr[prefix] {
				delete(w.pitr, prefix)
			}
			c.Prefixes = append(c.Prefixes, []byte(prefix))
		case 3:
			w.records[fmt.Sprint("new", index)] = path
			w.linked[stem] = true
			c.Stems = append(c.Stems, []byte(stem))
		case 4:
			if len(w.records) == 0 {
				continue
			}
			id := slices.Min(slices.Collect(maps.Keys(w.records)))
			stem = stemOf(w.records[id])
			delete(w.records, id)
			if left, _ := w.missing([]byte(stem)); len(left) == 0 { // no other record keeps it linked
				delete(w.linked, stem)
			}
			c.Stems = append(c.Stems, []byte(stem))
		}
	}
	w.relink()
	return c
}

// check compares everything that a view returns with the model.
func (w *world) check(t *rapid.T, s *Store) {
	v, err := s.View("d")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	list := w.sorted()

	var stats Stats
	for i := range list {
		c := &stats.ByType[list[i].Type]
		if list[i].Linked {
			c.Linked.add(Usage{1, uint64(list[i].Size)})
		} else {
			c.Orphan.add(Usage{1, uint64(list[i].Size)})
		}
		if list[i].ByStem {
			c.ByStem.add(Usage{1, uint64(list[i].Size)})
		}
	}
	if v.Stats() != stats {
		t.Fatalf("stats %+v, want %+v", v.Stats(), stats)
	}
	for range 3 {
		w.checkQuery(t, v, list)
	}
	w.checkMissing(t, v)
	w.checkCuts(t, v, list)
	for _, info := range v.Segments() {
		if _, err := s.Verify("d", info.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) checkQuery(t *rapid.T, v *View, list []Entry) {
	q := Query{OrphansOnly: rapid.Bool().Draw(t, "orphans"), Limit: rapid.IntRange(0, 9).Draw(t, "limit")}
	if rapid.Bool().Draw(t, "typed") {
		q.Type = new(Type(rapid.IntRange(0, numTypes-1).Draw(t, "type")))
	}
	if rapid.Bool().Draw(t, "aged") {
		q.ModifiedBefore = rapid.OneOf(genTime, rapid.Just(int64(-1))).Draw(t, "before")
	}
	if rapid.Bool().Draw(t, "prefixed") {
		p := genPath.Draw(t, "prefix")
		q.Prefix = []byte(p[:rapid.IntRange(0, len(p)).Draw(t, "prefix length")])
	}
	var want []Entry
	var sums Totals
	for i := range list {
		if w.matches(&q, &list[i]) {
			want = append(want, list[i])
			sums.addCell(cellOf(&list[i]), Usage{1, uint64(list[i].Size)})
		}
	}
	for range 2 { // the second result may come from the cache
		if got, err := v.Totals(q); err != nil || got != sums {
			t.Fatalf("totals of %+v: %+v, %v, want %+v", q, got, err, sums)
		}
	}
	if rapid.Bool().Draw(t, "cursor") {
		q.Cursor = []byte(genPath.Draw(t, "after"))
		want = slices.DeleteFunc(want, func(e Entry) bool { return bytes.Compare(e.Path, q.Cursor) <= 0 })
	}
	for page := 0; ; page++ {
		n := 0
		next, more, err := v.Query(q, func(e *Entry) bool {
			if len(want) == 0 || !equal(e, &want[0]) {
				t.Fatalf("query %+v: got %+v, want the first of %+v", q, e, want)
			}
			want = want[1:]
			n++
			return true
		})
		if err != nil || more != (len(want) > 0) || q.Limit > 0 && n > q.Limit {
			t.Fatalf("query %+v: %d files, more %v, %d left, %v", q, n, more, len(want), err)
		}
		if !more {
			return
		}
		q.Cursor = next
	}
}

func (w *world) checkMissing(t *rapid.T, v *View) {
	limit := rapid.IntRange(0, 5).Draw(t, "missing limit")
	var got []string
	var after []byte
	for {
		list, next, err := v.Missing("org", after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			got = append(got, string(m.Path)+"\x00"+string(m.BackupID))
		}
		if after = next; next == nil {
			break
		}
	}
	if want := w.lost(); !slices.Equal(got, want) {
		t.Fatalf("missing %q, want %q", got, want)
	}
	if list, _, err := v.Missing("other", nil, 0); len(list) > 0 || err != nil {
		t.Fatalf("missing of another organization: %v, %v", list, err)
	}
}

func (w *world) checkCuts(t *rapid.T, v *View, list []Entry) {
	n := rapid.IntRange(0, 8).Draw(t, "ranges")
	cuts, err := v.Cuts(n)
	if err != nil {
		t.Fatal(err)
	}
	ranges := min(max(n, 1), max(len(list), 1))
	if len(cuts) != ranges-1 {
		t.Fatalf("%d cuts for %d ranges of %d files", len(cuts), n, len(list))
	}
	for i, cut := range cuts {
		if at := (i + 1) * len(list) / ranges; string(list[at].Path) != string(cut) {
			t.Fatalf("cut %d is %q, want %q", i, cut, list[at].Path)
		}
	}
}

func equal(a, b *Entry) bool {
	return bytes.Equal(a.Path, b.Path) && a.Size == b.Size && a.ModTime == b.ModTime && a.Digest == b.Digest &&
		a.Type == b.Type && a.Linked == b.Linked && a.ByStem == b.ByStem
}

func TestStoreAgreesWithModel(t *testing.T) {
	root := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		dir := fmt.Sprint(root, "/", run)
		limit := rapid.SampledFrom([]int{1, 2, 5, 32, maxBlockEntries}).Draw(t, "block entries")
		open := func() *Store {
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			s.blockEntries = limit
			return s
		}
		s := open()
		defer func() { _ = s.Close() }()
		w := &world{files: map[string]Entry{}, linked: map[string]bool{}, unnamed: map[string]bool{}, pitr: map[string]bool{}, records: map[string]string{}}
		w.draw(t)
		index := uint64(10)
		gen := "g0"
		w.publish(t, s, gen, index)
		w.check(t, s)
		for step := range rapid.IntRange(0, 5).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0: // a restart
				_ = s.Close()
				s = open()
			case 1: // a new scan
				gen = fmt.Sprint("g", step+1)
				w.publish(t, s, gen, index)
			default:
				var changes []Change
				for range rapid.IntRange(1, 3).Draw(t, "batch") {
					index++
					changes = append(changes, w.change(t, index))
				}
				for range 2 { // the second time it does nothing
					if err := s.ApplyChanges("d", gen, changes, w.look, w.missing); err != nil {
						t.Fatal(err)
					}
				}
				if _, applied, _ := s.Generation("d"); applied != index {
					t.Fatalf("applied %d, want %d", applied, index)
				}
			}
			w.check(t, s)
		}
	})
}
