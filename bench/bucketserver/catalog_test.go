package bucketserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

type record struct {
	Kind, ID, StorageID, ProjectID, Status, StoragePath, Prefix, Name string
	Size                                                              uint64
	Collections                                                       []string
	CreatedAt                                                         time.Time
}

// readRecords reads the records back with a strict decoder.
func readRecords(t *testing.T, k *Keys, c Catalog) []record {
	t.Helper()
	var buf bytes.Buffer
	if err := k.WriteRecords(&buf, c); err != nil {
		t.Fatal(err)
	}
	var records []record
	for line := range strings.Lines(buf.String()) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		records = append(records, r)
	}
	return records
}

func stemOf(key string) string {
	slash := strings.LastIndexByte(key, '/') + 1
	if dot := strings.IndexByte(key[slash:], '.'); dot >= 0 {
		return key[:slash+dot]
	}
	return key
}

// Expect agrees with a simple implementation that links the keys to the written records.
func TestExpectAgreesWithRecords(t *testing.T) {
	for _, layout := range Layouts {
		for _, cat := range []Catalog{
			{StorageID: "s1", Orphans: 0.1, Missing: 0.02},
			{StorageID: `odd"id`, Orphans: 0.5, Missing: 0.5, Sorted: true},
			{Orphans: 1},
			{},
		} {
			t.Run(fmt.Sprintf("%s/%v", layout, cat), func(t *testing.T) {
				k := mustKeys(t, layout, 8_000)
				want, err := k.Expect(cat)
				if err != nil {
					t.Fatal(err)
				}
				var (
					got       Expected
					ids       = map[string]bool{}
					linkStems = map[string]bool{}
					linkPaths []string
					prefixes  []string
				)
				for _, r := range readRecords(t, k, cat) {
					if ids[r.ID] {
						t.Fatalf("two records have the id %s", r.ID)
					}
					ids[r.ID] = true
					switch r.Kind {
					case "project":
						got.Projects++
						continue
					case "pitr":
						got.Pitrs++
						prefixes = append(prefixes, r.Prefix)
					case "backup":
						got.Backups++
						got.RecordBytes += r.Size
						linkStems[stemOf(r.StoragePath)] = true
						linkPaths = append(linkPaths, r.StoragePath)
						if !ids[r.ProjectID] || r.CreatedAt.IsZero() || len(r.Collections) == 0 {
							t.Fatalf("record %+v", r)
						}
					default:
						t.Fatalf("record of kind %q", r.Kind)
					}
					if r.StorageID != cat.StorageID {
						t.Fatalf("storage %q", r.StorageID)
					}
				}
				exists := map[string]bool{}
				c := cursor{keys: k}
				for c.seek(0); c.valid(); c.next() {
					key, o := string(c.key), Object{}
					c.object(&o)
					kind := o.Type
					exists[key] = true
					got.Digest.Add(c.key, o.Size, o.ModTime, appendTag(nil, &o.ETag))
					linked := linkStems[stemOf(key)]
					for _, p := range prefixes {
						linked = linked || strings.HasPrefix(key, p)
					}
					if linked {
						got.Linked[kind].add(o.Size)
					} else {
						got.Orphans[kind].add(o.Size)
					}
					if kind != typeByName(key) {
						t.Fatalf("%s is %s", key, kind)
					}
				}
				for _, p := range linkPaths {
					if !exists[p] {
						got.Missing++
					}
				}
				if got != *want {
					t.Errorf("simple %+v\nExpect %+v", got, *want)
				}
			})
		}
	}
}

// typeByName is the documented table of file types.
func typeByName(key string) Type {
	if strings.Contains("/"+key, "/pitr/") {
		return Pitr
	}
	for {
		cut := key
		for _, packed := range []string{".gz", ".zst", ".enc"} {
			cut = strings.TrimSuffix(cut, packed)
		}
		if cut == key {
			break
		}
		key = cut
	}
	switch {
	case strings.HasSuffix(key, ".backup"):
		return Backup
	case strings.HasSuffix(key, ".meta"), strings.HasSuffix(key, ".meta.json"):
		return Meta
	case strings.HasSuffix(key, ".auth"), strings.HasSuffix(key, ".auth.json"):
		return Auth
	}
	return Unknown
}

// A flat bucket has a third as many records as keys, with the requested shares.
func TestCatalogShares(t *testing.T) {
	k := mustKeys(t, Flat, 300_000)
	e, err := k.Expect(Catalog{Orphans: 0.1, Missing: 0.001})
	if err != nil {
		t.Fatal(err)
	}
	orphans := float64(e.OrphanTotal().Files) / 300_000
	if orphans < 0.095 || orphans > 0.105 {
		t.Errorf("%v of the files are orphans", orphans)
	}
	if e.Backups < 97_000 || e.Backups > 104_000 || e.Missing < 70 || e.Missing > 160 {
		t.Errorf("%d records, %d missing", e.Backups, e.Missing)
	}
}

func TestCatalogRejectsInvalidShares(t *testing.T) {
	k := mustKeys(t, Flat, 10)
	if _, err := k.Expect(Catalog{Orphans: 1.5}); err == nil {
		t.Error("a share of 1.5 is accepted")
	}
	if err := k.WriteRecords(&bytes.Buffer{}, Catalog{Missing: -1}); err == nil {
		t.Error("a share of -1 is accepted")
	}
}

func TestOrderYieldsEveryRankOnce(t *testing.T) {
	for n := range uint64(400) {
		k := mustKeys(t, Flat, n)
		seen := make([]bool, n)
		for rank := range k.order(false) {
			if seen[rank] {
				t.Fatalf("%d keys: rank %d twice", n, rank)
			}
			seen[rank] = true
		}
		for rank, ok := range seen {
			if !ok {
				t.Fatalf("%d keys: rank %d never", n, rank)
			}
		}
	}
}
