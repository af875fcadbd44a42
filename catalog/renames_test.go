package catalog

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

// renamers are the names under which servers list an object that was stored as key.
var renamers = map[string]func(key string) string{
	"keeps keys": func(key string) string { return key },
	"MinIO":      func(key string) string { return strings.TrimLeft(key, "/") },
	"SeaweedFS": func(key string) string {
		key = strings.ReplaceAll(key, `\`, "/")
		for strings.Contains(key, "//") {
			key = strings.ReplaceAll(key, "//", "/")
		}
		return strings.TrimLeft(key, "/")
	},
	"rclone, composed":   func(key string) string { return norm.NFC.String(strings.TrimLeft(path.Clean("/"+key), "/")) },
	"rclone, decomposed": func(key string) string { return norm.NFD.String(strings.TrimLeft(path.Clean("/"+key), "/")) },
}

// TestRenamedKeys: a record in any spelling of a key links what a server lists the object
// under, and a record of the listed name links the key as it was stored.
func TestRenamedKeys(t *testing.T) {
	for _, key := range []string{
		"/lead2.backup", "//lead3.backup", "a//dbl.backup", `back\slash.backup`, "./a.backup", "x/./a.backup", "x/../a.backup",
		"caf\u00e9.backup", "cafe\u0301.backup", "/a//b\\cafe\u0301/./x.backup", "plain/a.backup", "a//b.parts/00001",
	} {
		for server, list := range renamers {
			for _, names := range [][2]string{{key, list(key)}, {list(key), key}} {
				for _, asFile := range []bool{false, true} {
					if err := linksOnly(t, names[0], names[1], asFile); err != nil {
						t.Errorf("%s, as file %v: %v", server, asFile, err)
					}
				}
			}
		}
	}
}

// TestRenamedFolders: a record of a folder protects what a server lists below another name.
func TestRenamedFolders(t *testing.T) {
	for server, list := range renamers {
		for _, folder := range []string{"/export/2024/", "export//2024/", `export\2024/`, "./export/2024/", "export/caf\u00e9/", "export/cafe\u0301/"} {
			if err := linksOnly(t, folder, list(folder+"all/output-0"), true); err != nil {
				t.Errorf("%s: %v", server, err)
			}
		}
	}
}

func TestRenamedKeysRandomly(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "c9", "/", "//", `\`, "./", "../", "caf\u00e9", "cafe\u0301", "-"})
	rapid.Check(t, func(rt *rapid.T) {
		key := strings.Join(rapid.SliceOfN(part, 1, 7).Draw(rt, "parts"), "") + "x.backup"
		stored, listed := key, key
		for _, name := range []string{"MinIO", "SeaweedFS", "rclone, composed"} {
			if rapid.Bool().Draw(rt, name) {
				listed = renamers[name](listed)
			}
		}
		if rapid.Bool().Draw(rt, "reverse") {
			stored, listed = listed, stored
		}
		if err := linksOnly(t, stored, listed, rapid.Bool().Draw(rt, "as file")); err != nil {
			rt.Fatal(err)
		}
	})
}

// linksOnly checks that a record of location keeps the file listed, for scans and for
// deletions, until the record is gone, and that no such record is accepted while the file
// is being deleted.
func linksOnly(t *testing.T, location, listed string, asFile bool) error {
	t.Helper()
	c := openTest(t)
	d := &pb.Destination{Org: "o", Id: "d", Name: "d", Type: TypeS3, Bucket: "bucket1"}
	apply(t, c, &pb.PutDestination{Create: true, Destination: d})
	b := &pb.Backup{Org: "o", Id: "b", StorageId: "d", Status: "completed", CreatedAt: 1, StoragePath: []byte(location)}
	if asFile {
		b.StoragePath, b.Files = nil, [][]byte{[]byte(location)}
	}
	if err := NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
		return err
	}
	if r := apply(t, c, oneBackup(b)); len(r.GetRejected()) > 0 {
		return fmt.Errorf("the record of %q is refused: %v", location, r)
	}
	var linked bool
	err := c.View(func(tx *Tx) error {
		named, byStem, err := IsLinked(tx.Links(BucketID(d)), nil, []byte(listed))
		linked = named || byStem
		return err
	})
	if err != nil || !linked {
		return fmt.Errorf("a record of %q, listed as %q: linked %v, %w", location, listed, linked, err)
	}
	m := &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del_1", Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte(listed)}}
	if r := apply(t, c, m); len(r.Rejected) != 1 || r.Rejected[0].Code != CodeNotOrphan {
		return fmt.Errorf("a record of %q, listed as %q: deleting it gives %v", location, listed, r)
	}
	apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindBackup, Ids: []string{"b"}})
	m.Id = "del_2"
	if r := apply(t, c, m); len(r.Rejected) != 0 {
		return fmt.Errorf("no record is left of %q: deleting %q gives %v", location, listed, r)
	}
	if r := apply(t, c, oneBackup(b)); len(r.Rejected) != 1 || r.Rejected[0].Code != CodeBeingDeleted {
		return fmt.Errorf("a record of %q while %q is being deleted: %v", location, listed, r)
	}
	if err := c.scrub(t.Context()); err != nil {
		return fmt.Errorf("while %q is being deleted: %w", listed, err)
	}
	apply(t, c, &pb.FinishDelete{Org: "o", Id: "del_2", At: 2, Outcomes: []*pb.Outcome{{Path: []byte(listed), Deleted: true, Held: true}}})
	if err := c.scrub(t.Context()); err != nil {
		return fmt.Errorf("while %q is held: %w", listed, err)
	}
	finish(t, c, "o", "del_2")
	if r := apply(t, c, oneBackup(b)); len(r.GetRejected()) > 0 {
		return fmt.Errorf("a record of %q after the deletion of %q: %v", location, listed, r)
	}
	return nil
}

// TestRenamedPitrPrefixes: what a PITR configuration writes is kept under any of its names.
func TestRenamedPitrPrefixes(t *testing.T) {
	for prefix, listed := range map[string]string{
		"/pitr/": "pitr/0001", "a//pitr/": "a/pitr/0001", "pitr/": "/pitr/0001", "caf\u00e9/": "cafe\u0301/0001",
	} {
		c := openTest(t)
		d := &pb.Destination{Org: "o", Id: "d", Name: "d", Type: TypeS3, Bucket: "bucket1"}
		apply(t, c, &pb.PutDestination{Create: true, Destination: d})
		apply(t, c, onePitr("d", prefix))
		rejected := begin(t, c, &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del_1", Node: "n/1", At: 1, Revision: 1}, listed)
		if len(rejected) != 1 || rejected[0] != listed+" "+CodeNotOrphan {
			t.Errorf("prefix %q: deleting %q gives %q", prefix, listed, rejected)
		}
	}
}
