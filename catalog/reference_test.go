package catalog

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

func TestResolve(t *testing.T) {
	bare := &pb.Destination{Id: "d1", Type: TypeS3, Bucket: "b1x"}
	below := &pb.Destination{Id: "d2", Type: TypeS3, Bucket: "b1x", Path: "backups/prod"}
	other := &pb.Destination{Id: "d3", Type: TypeGCS, Bucket: "proj.appspot.com"}
	r := NewResolver([]*pb.Destination{bare, below, other})
	for _, tc := range []struct {
		d        *pb.Destination
		location string
		want     Place
	}{
		{bare, "backups/prod/k.backup", Place{Key: "backups/prod/k.backup"}},
		{bare, "/backups/prod/k.backup", Place{Key: "backups/prod/k.backup"}},
		{bare, "//backups//prod/k.backup", Place{Key: "backups/prod/k.backup"}},
		{bare, "./k.backup", Place{Key: "k.backup"}},
		{bare, " k.backup\n", Place{Key: "k.backup"}},
		{bare, "\ufeffk.backup", Place{Key: "k.backup"}},
		{bare, "a\\k.backup", Place{Key: "a/k.backup"}},
		{bare, "a/../k.backup", Place{Key: "k.backup"}},
		{bare, "a%20b/k.backup", Place{Key: "a b/k.backup"}},
		{bare, "b1x/k.backup", Place{Key: "k.backup"}},
		{bare, "export/2024/", Place{Key: "export/2024/", Prefix: true}},
		{bare, "caf\u00e9.backup", Place{Key: "cafe\u0301.backup"}},
		{bare, "cafe\u0301.backup", Place{Key: "caf\u00e9.backup"}},
		{bare, "s3://b1x/backups/k.backup", Place{Key: "backups/k.backup"}},
		{bare, "S3://b1x/backups/k.backup", Place{Key: "backups/k.backup"}},
		{bare, "s3a://b1x/k.backup?versionId=1", Place{Key: "k.backup"}},
		{bare, "gs://proj.appspot.com/k.backup#1700000000", Place{Bucket: "proj.appspot.com", Key: "k.backup"}},
		{bare, "arn:aws:s3:::b1x/k.backup", Place{Key: "k.backup"}},
		{bare, "https://b1x.s3.amazonaws.com/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "https://b1x.s3.eu-west-1.amazonaws.com/a/k%20b.backup?X-Amz-Signature=x", Place{Key: "a/k b.backup"}},
		{bare, "https://s3.eu-west-1.amazonaws.com/b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "http://minio:9000/b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "https://user:pw@minio:9000/b1x/a/k.backup#x", Place{Key: "a/k.backup"}},
		{bare, "https://storage.googleapis.com/proj.appspot.com/k.backup", Place{Bucket: "proj.appspot.com", Key: "k.backup"}},
		{bare, "https://proj.appspot.com.storage.googleapis.com/k.backup", Place{Bucket: "proj.appspot.com", Key: "k.backup"}},
		{bare, "https://firebasestorage.googleapis.com/v0/b/proj.appspot.com/o/a%2Fk.backup?alt=media&token=t", Place{Bucket: "proj.appspot.com", Key: "a/k.backup"}},
		{bare, "s3://b1x/a%20b/k.backup", Place{Key: "a b/k.backup"}},
		{bare, "gs://proj.appspot.com/a+b.backup", Place{Bucket: "proj.appspot.com", Key: "a b.backup"}},
		{bare, "arn:aws:s3:::b1x/a%3Ab.backup", Place{Key: "a:b.backup"}},
		{bare, "http://minio:9000/b1x/a#b?c.backup", Place{Key: "a#b?c.backup"}},
		{bare, "https://b1x.s3.amazonaws.com/a?b=c.backup", Place{Key: "a?b=c.backup"}},
		{bare, "http://minio:9000/b1x/a+b.backup", Place{Key: "a b.backup"}},
		{bare, "s3://b1x@eu-west-1/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "s3://KEY:sec/ret@b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "wasbs://b1x@account.blob.core.windows.net/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, `s3:\\b1x\a\k.backup`, Place{Key: "a/k.backup"}},
		{bare, "s3:///b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "minio:9000/b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "b1x.s3.amazonaws.com/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "myminio/b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "/mnt/b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "file:///mnt/b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "b1x::a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "https://minio:9001/api/v1/buckets/b1x/objects/download?prefix=a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "https://storage.googleapis.com/upload/storage/v1/b/b1x/o?uploadType=media&name=a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "`a/k.backup`", Place{Key: "a/k.backup"}},
		{bare, "[\"a/k.backup\"]", Place{Key: "a/k.backup"}},
		{bare, "\u200ba/k.backup", Place{Key: "a/k.backup"}},
		{bare, "mongo/dump", Place{Key: "mongo/dump/", Prefix: true}},
		{bare, "gs://proj.appspot.com/2024-05-01T10:00:00_1", Place{Bucket: "proj.appspot.com", Key: "2024-05-01T10:00:00_1/", Prefix: true}},
		{bare, "s3://b1x/my%20dump", Place{Key: "my dump/", Prefix: true}},
		{bare, "a/1.backup\na/2.backup", Place{Key: "a/2.backup"}},
		{bare, `["a/1.backup", "s3://b1x/a/2.backup"]`, Place{Key: "a/1.backup"}},
		{bare, `["a/1.backup", "s3://b1x/a/2.backup"]`, Place{Key: "a/2.backup"}},
		{bare, "s3://b1x/a/1.backup;s3://b1x/a/2.backup", Place{Key: "a/2.backup"}},
		{bare, "a/part-{0,1}.backup", Place{Key: "a/", Prefix: true}},
		{bare, "gs://proj.appspot.com/a/**", Place{Bucket: "proj.appspot.com", Key: "a/", Prefix: true}},
		{bare, "dump/metadata.json", Place{Key: "dump/", Prefix: true}},
		{bare, "a/p-?.backup", Place{Key: "a/", Prefix: true}},
		{bare, "a/p-[0-9].backup", Place{Key: "a/", Prefix: true}},
		{bare, "s3.b1x/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "https://s3.b1x.example.com/a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "https://console.aws.amazon.com/s3/object/b1x?prefix=a/k.backup", Place{Key: "a/k.backup"}},
		{bare, "https://eu-west-1.console.aws.amazon.com/s3/object/b1x?region=eu-west-1&bucketType=general&prefix=a%2Fk.backup", Place{Key: "a/k.backup"}},
		{bare, "https://s3.console.aws.amazon.com/s3/buckets/b1x/a/?region=eu-west-1", Place{Key: "a/", Prefix: true}},
		{bare, "https://console.cloud.google.com/storage/browser/_details/proj.appspot.com/a/k.backup;tab=live_object?project=p", Place{Bucket: "proj.appspot.com", Key: "a/k.backup"}},
		{bare, "https://console.cloud.google.com/storage/browser/proj.appspot.com/a/k.backup", Place{Bucket: "proj.appspot.com", Key: "a/k.backup"}},
		{bare, "https://storage.cloud.google.com/proj.appspot.com/a/k.backup?authuser=0", Place{Bucket: "proj.appspot.com", Key: "a/k.backup"}},
		{bare, "https://console.firebase.google.com/u/0/project/p/storage/proj.appspot.com/files/~2Fa~2Fk.backup", Place{Bucket: "proj.appspot.com", Key: "a/k.backup"}},
		{bare, "https://dash.cloudflare.com/0a1b/r2/default/buckets/b1x/objects/a%2Fk.backup/details", Place{Key: "a/k.backup"}},
		{bare, "https://cloud.digitalocean.com/spaces/b1x?path=a%2F", Place{Key: "a/", Prefix: true}},
		{bare, "http://minio:9001/browser/b1x/YS9rLmJhY2t1cA==", Place{Key: "a/k.backup"}},
		{bare, "basebackups_005/base_1/", Place{Key: "basebackups_005/base_1_backup_stop_sentinel.json"}},
		{bare, "wal/basebackups_005/base_1", Place{Key: "wal/basebackups_005/base_1_backup_stop_sentinel.json"}},
		{bare, "pbm/2024-05-01T10:00:00Z.pbm.json", Place{Key: "pbm/2024-05-01T10:00:00Z/", Prefix: true}},
		{bare, "medusa/node1/daily/meta/manifest.json", Place{Key: "medusa/node1/daily/", Prefix: true}},
		{bare, "backup/meta/cluster/c/dc/d/node/n/task_t_sm_1_manifest.json.gz", Place{Key: "backup/", Prefix: true}},
		{below, "dump", Place{Key: "backups/prod/dump/", Prefix: true}},
		{below, "k.backup", Place{Key: "backups/prod/k.backup"}},
		{below, "/k.backup", Place{Key: "backups/prod/k.backup"}},
		{below, "backups/prod/k.backup", Place{Key: "backups/prod/k.backup"}},
		{below, "s3://b1x/backups/prod/k18.backup", Place{Key: "backups/prod/k18.backup"}},
		{below, "b1x/backups/prod/k.backup", Place{Key: "backups/prod/k.backup"}},
		{other, "b1x/backups/prod/k.backup", Place{Bucket: "b1x", Key: "backups/prod/k.backup"}},
	} {
		got, err := r.Resolve(tc.d, []byte(tc.location))
		if err != nil || !slices.Contains(got, tc.want) {
			t.Errorf("%q in %s resolves to %+v, %v; it lacks %+v", tc.location, tc.d.Id, got, err, tc.want)
		}
		if !slices.ContainsFunc(got, func(p Place) bool { return p.Bucket == "" && p.Key == tc.location }) {
			t.Errorf("%q in %s resolves to %+v; an object with that very key is not protected", tc.location, tc.d.Id, got)
		}
	}
	for _, location := range []string{"*.backup", "s3://b1x/p-*.backup", "p-{1,2}.backup", "s3://nobucket/k.backup", "https://s3.amazonaws.com/nobucket/k.backup", "s3://b1x", "s3://b1x/", "gs:///k", "https://example.com/"} {
		if got, err := r.Resolve(bare, []byte(location)); !errors.Is(err, ErrUnresolved) {
			t.Errorf("%q resolves to %+v, %v, want ErrUnresolved", location, got, err)
		}
	}
}

// TestFirstReading: a record whose first reading is not listed counts as missing, so it is that
// of the likely key: without its version, and not the address itself.
func TestFirstReading(t *testing.T) {
	d := &pb.Destination{Id: "d", Type: TypeS3, Bucket: "b1x"}
	locations := map[string]string{
		"s3://b1x/k.backup?versionId=3": "k.backup", "gs://b1x/k.backup#17": "k.backup", "k.backup?generation=3": "k.backup", "k.backup#17": "k.backup",
		"https://firebasestorage.googleapis.com/v0/b/b1x/o/a%2Fk%20b.backup?alt=media&token=t": "a/k b.backup", "http://minio:9000/b1x/a%20b.backup?versionId=1": "a b.backup",
		"//storage.googleapis.com/projects/_/buckets/b1x/objects/a/k.backup": "a/k.backup", "projects/_/buckets/b1x/objects/a/k.backup": "a/k.backup",
		"s3://b1x/a#b.backup": "a#b.backup", "s3://b1x/what?.backup": "what?.backup", "a#b.backup": "a#b.backup",
		"minio:9000/b1x/a/k.backup": "a/k.backup", "b1x.s3.amazonaws.com/a/k.backup": "a/k.backup",
		// A folder may well be called like a bucket: the key as it is given is more likely.
		"myminio/b1x/a/k.backup": "myminio/b1x/a/k.backup", "/mnt/b1x/a/k.backup": "mnt/b1x/a/k.backup",
	}
	for location, want := range locations {
		b := &pb.Backup{StorageId: "d", StoragePath: []byte(location)}
		if err := NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
			t.Fatal(err)
		}
		if path, _ := BackupKeys(b); string(path) != want {
			t.Errorf("%s is looked for as %q, want %q", location, path, want)
		}
	}
}

// spellings are ways in which backup systems write the location of an object.
func spellings(d *pb.Destination, key string) []string {
	escaped := (&url.URL{Path: "/" + key}).EscapedPath()
	all := []string{
		key, "/" + key, "//" + key, "./" + key, key + "\n", " " + key,
		d.Bucket + "/" + key, "s3://" + d.Bucket + "/" + key, "s3://" + d.Bucket + escaped, "http://minio:9000/" + d.Bucket + "/" + key,
		"/mnt/" + d.Bucket + "/" + key, "minio:9000/" + d.Bucket + escaped, "gs://" + d.Bucket + "/" + url.QueryEscape(key),
		"https://" + d.Bucket + ".s3.amazonaws.com" + escaped + "?versionId=3",
		"https://s3.us-east-1.amazonaws.com/" + d.Bucket + escaped,
		"https://firebasestorage.googleapis.com/v0/b/" + d.Bucket + "/o/" + url.PathEscape(key) + "?alt=media",
		norm.NFC.String(key), norm.NFD.String(key),
	}
	if relative, ok := strings.CutPrefix(key, d.Path+"/"); ok && d.Path != "" {
		all = append(all, relative, "/"+relative)
	}
	return all
}

// TestEverySpellingProtects: whatever the spelling of a key in a record, the object that it
// names can not be deleted while the record exists, and can when it is gone.
func TestEverySpellingProtects(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := openTest(t)
		d := &pb.Destination{Org: "o", Id: "d", Name: "d", Type: TypeS3, Bucket: "bucket1", Path: rapid.SampledFrom([]string{"", "p", "p/q"}).Draw(rt, "path")}
		apply(t, c, &pb.PutDestination{Create: true, Destination: d})
		segment := rapid.StringMatching(`[a-z0-9é ü%+&=_~-]{1,6}`)
		key := strings.TrimSpace(segment.Draw(rt, "folder")) + "x/" + strings.TrimSpace(segment.Draw(rt, "name")) + "y.backup"
		if d.Path != "" {
			key = d.Path + "/" + key
		}
		location := rapid.SampledFrom(spellings(d, key)).Draw(rt, "spelling")
		b := &pb.Backup{Org: "o", Id: "b", StorageId: "d", Status: "completed", CreatedAt: 1}
		asFile := rapid.Bool().Draw(rt, "as file")
		if asFile {
			b.Files = [][]byte{[]byte(location)}
		} else {
			b.StoragePath = []byte(location)
		}
		if err := NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
			rt.Fatalf("%q: %v", location, err)
		}
		apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
		begin := func(id string) *pb.Result {
			return apply(t, c, &pb.BeginDelete{Org: "o", DestinationId: "d", Id: id, Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte(key)}})
		}
		if res := begin("del_1"); len(res.Rejected) != 1 || res.Rejected[0].Code != CodeNotOrphan {
			rt.Fatalf("record of %q: deleting %q gives %v", location, key, res)
		}
		apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindBackup, Ids: []string{"b"}})
		if res := begin("del_2"); len(res.Rejected) != 0 {
			rt.Fatalf("no record is left: deleting %q gives %v", key, res)
		}
	})
}

// TestFilesRelativeToTheStoragePath: manifests name their parts relative to their own folder.
func TestFilesRelativeToTheStoragePath(t *testing.T) {
	d := &pb.Destination{Id: "d", Type: TypeS3, Bucket: "b1x"}
	r := NewResolver([]*pb.Destination{d})
	for _, path := range []string{"run/1/parts.list", "s3://b1x/run/1/", "/run/1/"} {
		b := &pb.Backup{StorageId: "d", StoragePath: []byte(path), Files: [][]byte{[]byte("sub/part-0"), []byte("run/1/part-1"), []byte("s3://b1x/part-2")}}
		if err := r.ResolveBackup(b); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, l := range recordLinks(b) {
			if l.kind == LinkFile {
				keys = append(keys, string(l.path))
			}
		}
		slices.Sort(keys)
		if want := []string{"part-2", "run/1/part-1", "run/1/sub/part-0", "s3://b1x/part-2", "sub/part-0"}; !slices.Equal(keys, want) {
			t.Errorf("%s: the files are %q, want %q", path, keys, want)
		}
		locations, err := r.Locations(&pb.Record{Kind: &pb.Record_Backup{Backup: b}})
		if err != nil || !slices.Contains(locations[1].Places, Place{Bucket: "b1x", Key: "run/1/sub/part-0"}) {
			t.Errorf("%s: locations %+v, %v", path, locations, err)
		}
	}
}

// TestFolderProtectsWhatIsBelow: a record that names a folder needs every object in it.
func TestFolderProtectsWhatIsBelow(t *testing.T) {
	c := openTest(t)
	d := &pb.Destination{Org: "o", Id: "d", Name: "d", Type: TypeS3, Bucket: "bucket1"}
	apply(t, c, &pb.PutDestination{Create: true, Destination: d})
	b := &pb.Backup{Org: "o", Id: "b", StorageId: "d", Status: "completed", CreatedAt: 1, StoragePath: []byte("s3://bucket1/export/2024/")}
	if err := NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
		t.Fatal(err)
	}
	apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
	res := apply(t, c, &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del_1", Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{
		[]byte("export/2024/all/output-0"), []byte("export/2024/m.meta"), []byte("export/2025/m.meta"),
	}})
	if len(res.Rejected) != 2 || res.Rejected[0].Index != 0 || res.Rejected[1].Index != 1 {
		t.Errorf("rejected: %v, want the two below the folder", res.Rejected)
	}
	// Most tools write a folder without a slash at its end.
	b = &pb.Backup{Org: "o", Id: "d", StorageId: "d", CreatedAt: 1, StoragePath: []byte("dumps/monday")}
	if err := NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
		t.Fatal(err)
	}
	apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
	res = apply(t, c, &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del_2", Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{
		[]byte("dumps/monday/db/c.backup"), []byte("dumps/monday2/c.backup"),
	}})
	if len(res.Rejected) != 1 || res.Rejected[0].Index != 0 {
		t.Errorf("rejected: %v, want the one below the folder", res.Rejected)
	}
	// While a file below it is being deleted, no record may claim the folder.
	b = &pb.Backup{Org: "o", Id: "c", StorageId: "d", CreatedAt: 1, StoragePath: []byte("/export/2025/")}
	if err := NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
		t.Fatal(err)
	}
	put := apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
	if len(put.Rejected) != 1 || put.Rejected[0].Code != CodeBeingDeleted {
		t.Errorf("claiming a folder with a marked file: %v", put)
	}
}

// TestWhatLooksLikeAFileMayBeAFolder: a record that names an object needs what lies below that
// name, since tools write folders with any name. Commands of earlier versions keep their result.
func TestWhatLooksLikeAFileMayBeAFolder(t *testing.T) {
	c := openTest(t)
	d := &pb.Destination{Org: "o", Id: "d", Name: "d", Type: TypeS3, Bucket: "bucket1"}
	apply(t, c, &pb.PutDestination{Create: true, Destination: d})
	put := func(id string, b *pb.Backup) *pb.Result {
		b.Org, b.Id, b.StorageId, b.CreatedAt = "o", id, "d", 1
		if err := NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
			t.Fatal(err)
		}
		return apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
	}
	put("b", &pb.Backup{StoragePath: []byte("x/dir.backup"), Files: [][]byte{[]byte("x/parts.meta.json")}})
	begin := func(id string, belowNamed bool, paths ...string) []uint32 {
		t.Helper()
		m := &pb.BeginDelete{Org: "o", DestinationId: "d", Id: id, Node: "n/1", At: 1, Revision: 1, BelowNamed: belowNamed}
		for _, p := range paths {
			m.Paths = append(m.Paths, []byte(p))
		}
		var rejected []uint32
		for _, r := range apply(t, c, m).Rejected {
			rejected = append(rejected, r.Index)
		}
		return rejected
	}
	paths := []string{"x/dir.backup/a/b.backup", "x/parts.meta.json/1", "x//dir.backup/1", "x/dir.backups/1", "x/dir.backup2"}
	if got := begin("del_1", true, paths...); !slices.Equal(got, []uint32{0, 1, 2, 4}) {
		t.Errorf("rejected %v, want those below the names, and the one of the stem", got)
	}
	if got := begin("del_2", false, "y/dir.backup/1"); got != nil {
		t.Errorf("rejected %v", got)
	}
	if r := put("c", &pb.Backup{StoragePath: []byte("x/dir.backups")}); len(r.Rejected) != 1 || r.Rejected[0].Code != CodeBeingDeleted {
		t.Errorf("claiming a name below which a file is being deleted: %v", r)
	}
	if r := put("d", &pb.Backup{StoragePath: []byte("y/dir.backup")}); len(r.Rejected) != 0 {
		t.Errorf("a deletion by an earlier version refuses the record: %v", r)
	}
	if got := begin("del_3", false, "y/dir.backup/2"); got != nil {
		t.Errorf("a command of an earlier version rejects %v", got)
	}
}

// TestManifests: a backup that is named by one file of what a tool has written needs the others.
func TestManifests(t *testing.T) {
	d := &pb.Destination{Id: "d", Type: TypeS3, Bucket: "b1x"}
	r := NewResolver([]*pb.Destination{d})
	for tool, files := range map[string][]string{
		"WAL-G":            {"pg/basebackups_005/base_01_backup_stop_sentinel.json", "pg/basebackups_005/base_01/metadata.json", "pg/basebackups_005/base_01/tar_partitions/part_001.tar.lz4"},
		"pgBackRest":       {"backup/main/20240101-120000F/backup.manifest", "backup/main/20240101-120000F/backup.manifest.copy", "backup/main/20240101-120000F/pg_data/PG_VERSION.gz"},
		"Barman":           {"main/base/20240101T120000/backup.info", "main/base/20240101T120000/data.tar.gz", "main/base/20240101T120000/16385.tar.gz"},
		"pg_basebackup":    {"pg/2024/base.tar.gz", "pg/2024/pg_wal.tar.gz", "pg/2024/16385.tar.gz", "pg/2024/backup_manifest"},
		"PBM":              {"2024-05-01T10:00:00Z.pbm.json", "2024-05-01T10:00:00Z/rs0/metadata.json"},
		"Medusa":           {"node1/daily/meta/manifest.json", "node1/daily/meta/schema.cql", "node1/daily/data/ks/t/nb-1-big-Data.db"},
		"ScyllaDB Manager": {"backup/meta/cluster/c/dc/d/node/n/task_1_sm_1_manifest.json.gz", "backup/sst/cluster/c/dc/d/node/n/keyspace/k/table/t/1/me-1-big-Data.db"},
		"TiDB BR":          {"br/2024/backupmeta", "br/2024/1_5_33_write.sst", "br/2024/backup.lock"},
		"InfluxDB":         {"influx/20240101T000000Z.manifest", "influx/20240101T000000Z.s1.tar.gz"},
		"duplicity":        {"dup/duplicity-full.20240101T000000Z.manifest.gpg", "dup/duplicity-full.20240101T000000Z.vol1.difftar.gpg"},
		"RDS export":       {"exports/e1/export_info_e1.json", "exports/e1/export_tables_info_e1_from_1_to_3.json", "exports/e1/db/public.t/1/part-0.gz.parquet"},
		"Redshift UNLOAD":  {"unload/venue_manifest", "unload/venue_0000_part_00"},
		"gpbackup":         {"gp/backups/20240101/20240101120000/gpbackup_20240101120000_toc.yaml", "gp/backups/20240101/20240101120000/gpbackup_0_20240101120000_1.gz"},
		"MariaDB":          {"maria/2024/mariadb_backup_info", "maria/2024/ibdata1"},
		"CockroachDB":      {"crdb/2024/BACKUP_MANIFEST-CHECKSUM", "crdb/2024/data/1.sst"},
		"Elasticsearch":    {"es/index.latest", "es/indices/x/0/__1"},
		"restic":           {"restic/config", "restic/data/00/0001"},
		"Iceberg":          {"db/t/metadata/0001-x.metadata.json", "db/t/data/0.parquet"},
	} {
		for _, named := range files[:1] {
			list, err := r.Resolve(d, []byte(named))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if !slices.ContainsFunc(list, func(p Place) bool { return p.Key == file || p.Prefix && strings.HasPrefix(file, p.Key) }) {
					t.Errorf("%s: %s does not protect %s: %+v", tool, named, file, list)
				}
			}
		}
	}
}

// TestPatternsOfPrefixes: a PITR configuration with a pattern protects what it may match.
func TestPatternsOfPrefixes(t *testing.T) {
	d := &pb.Destination{Id: "d", Type: TypeS3, Bucket: "b1x"}
	list, err := NewResolver([]*pb.Destination{d}).ResolvePrefix(d, []byte("wal-*"))
	if err != nil || !slices.Contains(list, Place{Key: "wal-", Prefix: true}) {
		t.Errorf("%+v, %v", list, err)
	}
}
