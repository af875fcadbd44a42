package scanner

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firescan/catalog"
	"firescan/index"
	"firescan/keyspace"
	"firescan/provider"
)

// A linkList holds the links of a bucket in memory in the order of the catalog.
type linkList struct {
	all []catalog.Link
	at  int
}

func (l *linkList) Seek(stem []byte) (*catalog.Link, bool) {
	l.at = sort.Search(len(l.all), func(i int) bool { return bytes.Compare(l.all[i].Stem, stem) >= 0 })
	return l.get()
}

func (l *linkList) Next() (*catalog.Link, bool) {
	l.at++
	return l.get()
}

func (l *linkList) get() (*catalog.Link, bool) {
	if l.at >= len(l.all) {
		return nil, false
	}
	return &l.all[l.at], true
}

func (l *linkList) Err() error { return nil }

type record struct {
	storage string
	path    string
	files   []string
	alias   string // another reading of path
	folder  string // one that the record names, with its slash
	rule    keyspace.StemRule
}

func newLinkList(records []record) *linkList {
	l := &linkList{}
	for i, r := range records {
		id := []byte(fmt.Sprint("bkp", i))
		l.all = append(l.all, catalog.Link{
			Stem: keyspace.Stem([]byte(r.path)), Kind: catalog.LinkPath, Path: []byte(r.path),
			Org: []byte("org"), BackupID: id, StorageID: []byte(r.storage), Rule: r.rule,
		})
		for _, f := range r.files {
			l.all = append(l.all, catalog.Link{
				Stem: keyspace.Stem([]byte(f)), Kind: catalog.LinkFile, Path: []byte(f),
				Org: []byte("org"), BackupID: id, StorageID: []byte(r.storage),
			})
		}
	}
	for i, r := range records {
		more := func(kind catalog.LinkKind, path string) {
			if path != "" {
				l.all = append(l.all, catalog.Link{
					Stem: keyspace.Stem([]byte(path)), Kind: kind, Path: []byte(path),
					Org: []byte("org"), BackupID: []byte(fmt.Sprint("bkp", i)), StorageID: []byte(r.storage), Rule: r.rule,
				})
			}
		}
		more(catalog.LinkAlias, r.alias)
		more(catalog.LinkPrefix, r.folder)
	}
	slices.SortStableFunc(l.all, func(a, b catalog.Link) int { return bytes.Compare(a.Stem, b.Stem) })
	return l
}

// TestPagesAgreeWithTheRule compares the merge over arbitrary pages with the definition:
// every file against every record, by its key and then by the fold of its key.
func TestPagesAgreeWithTheRule(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) string {
		return rapid.StringOfN(rapid.RuneFrom([]rune("ab./-!p")), 1, 7, -1).Draw(t, "name") + rapid.SampledFrom([]string{"", "", ".backup", ".meta.gz"}).Draw(t, "end")
	})
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfDistinct(key, rapid.ID[string]).Draw(t, "keys")
		slices.Sort(keys)
		records := rapid.SliceOf(rapid.Custom(func(t *rapid.T) record {
			return record{
				storage: rapid.SampledFrom([]string{"here", "there"}).Draw(t, "storage"),
				path:    rapid.OneOf(key, rapid.SampledFrom(append(keys, "a"))).Draw(t, "path"),
				files:   rapid.SliceOfN(rapid.OneOf(key, rapid.SampledFrom(append(keys, "a"))), 0, 2).Draw(t, "files"),
				alias:   rapid.OneOf(rapid.Just(""), key).Draw(t, "alias"),
				rule:    rapid.SampledFrom([]keyspace.StemRule{keyspace.FirstDot, keyspace.KnownSuffix}).Draw(t, "rule"),
				folder:  rapid.OneOf(rapid.Just(""), rapid.Map(key, func(k string) string { return k + "/" })).Draw(t, "folder"),
			}
		})).Draw(t, "records")
		pitr := rapid.SliceOfN(key, 0, 1).Draw(t, "pitr")
		var prefixes [][]byte
		for _, p := range pitr {
			prefixes = append(prefixes, []byte(p))
		}

		c := classifier{destination: "here"}
		links := newLinkList(records)
		linked, byStem, missing := map[string]bool{}, map[string]bool{}, map[string]map[string]bool{}
		from := ""
		for i := 0; i <= len(keys); {
			n := rapid.IntRange(1, 4).Draw(t, "page")
			part := keys[i:min(i+n, len(keys))]
			i += n
			upTo := ""
			if i <= len(keys) {
				upTo = keyspace.After(part[len(part)-1])
			}
			var objects []provider.Object
			for _, k := range part {
				objects = append(objects, provider.Object{Key: []byte(k)})
			}
			if err := c.page(links, prefixes, objects, []byte(from), []byte(upTo)); err != nil {
				t.Fatal(err)
			}
			for _, e := range c.entries {
				linked[string(e.Path)], byStem[string(e.Path)] = e.Linked, e.ByStem
			}
			for _, m := range c.missing {
				if missing[string(m.BackupID)] == nil {
					missing[string(m.BackupID)] = map[string]bool{}
				}
				missing[string(m.BackupID)][string(m.Path)] = true
			}
			from = upTo
		}

		for _, k := range keys {
			named, stem := linkedBy(records, pitr, k)
			if fold, other := keyspace.Folded([]byte(k)); other && !named && !stem {
				named, stem = linkedBy(records, pitr, string(fold))
			}
			if linked[k] != (named || stem) || byStem[k] != (stem && !named) {
				t.Fatalf("file %q: linked %v, by stem alone %v; named %v, stem %v (records %v, pitr %q)", k, linked[k], byStem[k], named, stem, records, pitr)
			}
		}
		for i, r := range records {
			got := missing[fmt.Sprint("bkp", i)]
			for _, path := range append([]string{r.path}, r.files...) {
				want := r.storage == "here" && !slices.Contains(keys, path)
				isFolder := slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, path+"/") })
				if got[path] != want && path != r.folder && !(isFolder && want) {
					t.Fatalf("record %v: %q is missing: %v, want %v (keys %q)", r, path, got[path], want, keys)
				}
			}
			// A page cannot know what is below a folder in later pages.
			empty := !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, r.folder) && k != r.folder })
			if r.storage == "here" && r.folder != "" && empty && !got[r.folder] {
				t.Fatalf("record %v: the folder is empty and not missing (keys %q)", r, keys)
			}
		}
	})
}

// linkedBy reports whether a record names a key as it stands, or a PITR prefix covers it, and
// whether it shares the stem of a record.
func linkedBy(records []record, pitr []string, key string) (named, stem bool) {
	for _, p := range pitr {
		named = named || strings.HasPrefix(key, p)
	}
	for _, r := range records {
		for _, name := range append([]string{r.path, r.alias}, r.files...) {
			named = named || name != "" && (key == name || strings.HasPrefix(key, name+"/"))
		}
		named = named || r.folder != "" && strings.HasPrefix(key, r.folder)
		of := func(key string) string { return string(r.rule.Stem([]byte(key))) }
		stem = stem || of(key) == of(r.path) || r.alias != "" && of(key) == of(r.alias)
	}
	return named, stem
}

func TestTypeOf(t *testing.T) {
	for _, c := range []struct {
		key    string
		want   index.Type
		linked bool
	}{
		{"backups/bkp_1.backup", index.Backup, false},
		{"backups/bkp_1.backup.gz", index.Backup, false},
		{"backups/bkp_1.backup.zst.enc", index.Backup, false},
		{"backups/bkp_1.meta", index.Meta, false},
		{"backups/bkp_1.meta.json", index.Meta, false},
		{"backups/bkp_1.meta.json.gz", index.Meta, false},
		{"backups/bkp_1.auth", index.Auth, false},
		{"backups/bkp_1.auth.json.enc", index.Auth, false},
		{"backups/bkp_1.json", index.Unknown, false},
		{"backups/backup", index.Unknown, false},
		{"backups/.backup", index.Backup, false},
		{"backups/bkp_1.backup.old", index.Unknown, false},
		{"backups/BKP.BACKUP", index.Unknown, false},
		{"pitr/x.backup", index.Pitr, false},
		{"a/pitr/x", index.Pitr, false},
		{"a/pitr", index.Pitr, false},
		{"a/pitrs/x.meta", index.Meta, false},
		{"wal/0001", index.Pitr, true},
		{"wal", index.Unknown, false},
		{".gz", index.Unknown, false},
	} {
		typ, linked := index.TypeOf([]byte(c.key), [][]byte{[]byte("wal/")})
		if typ != c.want || linked != c.linked {
			t.Errorf("index.TypeOf(%q) = %v, %v; want %v, %v", c.key, typ, linked, c.want, c.linked)
		}
	}
}

// BenchmarkClassifyKnownSuffix classifies a page of one stem by the first dot, as host names
// make it, with many records.
func BenchmarkClassifyKnownSuffix(b *testing.B) {
	var objects []provider.Object
	var records []record
	for i := range 1000 {
		stem := fmt.Sprintf("backups/app.example.com-%06d", i/2)
		objects = append(objects, provider.Object{Key: []byte(stem + []string{".backup", ".meta"}[i%2])})
		if i%2 == 0 {
			records = append(records, record{storage: "here", path: stem + ".backup", rule: keyspace.KnownSuffix})
		}
	}
	links := newLinkList(records)
	c := classifier{destination: "here"}
	for b.Loop() {
		if err := c.page(links, nil, objects, []byte("backups/"), []byte("backups0")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}

func BenchmarkClassifyPage(b *testing.B) {
	var objects []provider.Object
	var records []record
	for i := range 1000 {
		stem := fmt.Sprintf("backups/production/bkp_%016x", i/3)
		objects = append(objects, provider.Object{Key: []byte(stem + []string{".auth", ".backup", ".meta"}[i%3]), Tag: []byte("d41d8cd98f00b204e9800998ecf8427e")})
		if i%3 == 0 {
			records = append(records, record{storage: "here", path: stem + ".backup"})
		}
	}
	links := newLinkList(records)
	c := classifier{destination: "here"}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.page(links, nil, objects, []byte("backups/production/"), []byte("backups/production0")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
}
