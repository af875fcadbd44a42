package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/provider"
	"firescan/provider/mem"
)

func TestCreateBucket(t *testing.T) {
	r := newRig(t, mem.Options{})
	a := r.owner("POST", "/api/v1/storage/buckets/create", tryBody(`"bucketName":"my-firebase-backups","region":"us-west-2"`))
	if a.status != 201 || a.at("message") != "Bucket 'my-firebase-backups' created successfully" ||
		fmt.Sprint(a.at("data")) != "map[bucket:my-firebase-backups created:true region:us-west-2]" {
		t.Errorf("%d %s", a.status, a.raw)
	}
	if a := r.owner("POST", "/api/v1/storage/buckets/create", tryBody(`"bucketName":"nowhere-special"`)); a.at("data", "region") != "us-east-1" {
		t.Errorf("%s", a.raw)
	}
	made, err := r.account.Buckets(t.Context())
	if err != nil || len(made) != 3 || made[1].Region != "us-west-2" {
		t.Errorf("made %v, %v", made, err)
	}
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/buckets/create", tryBody(inBucket)).refused(409, CodeBucketExists)
}

// TestCreateBucketOfAnother: an account that we do not see has the name.
func TestCreateBucketOfAnother(t *testing.T) {
	faults := mem.Broken(provider.Denied)
	faults.CreateBucket = nil
	r := newRig(t, mem.Options{Faults: faults})
	a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/buckets/create", tryBody(inBucket))
	a.refused(409, CodeBucketExists)
	if m, _ := a.at("error", "message").(string); !strings.Contains(m, "'backups-bucket' already exists") {
		t.Errorf("%s", a.raw)
	}
	r = newRig(t, mem.Options{Faults: mem.Faults{CreateBucket: mem.Always(provider.Denied, "create bucket")}})
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/buckets/create", tryBody(`"bucketName":"new-bucket"`)).refused(403, CodeProviderDenied)
}

func TestVerifyBucket(t *testing.T) {
	denied := mem.Always(provider.Denied, "call")
	list := mem.Broken(provider.Denied).BeforeList
	for name, c := range map[string]struct {
		faults mem.Faults
		want   string
	}{
		"all":        {mem.Faults{}, "map[accessible:true bucket:backups-bucket permissions:map[delete:true read:true write:true]]"},
		"read only":  {mem.Faults{Put: denied, Delete: denied}, "map[accessible:true bucket:backups-bucket permissions:map[delete:false read:true write:false]]"},
		"no delete":  {mem.Faults{Delete: denied}, "map[accessible:true bucket:backups-bucket permissions:map[delete:false read:true write:true]]"},
		"write only": {mem.Faults{BeforeList: list, Delete: denied}, "map[accessible:false bucket:backups-bucket permissions:map[delete:false read:false write:true]]"},
	} {
		r := newRig(t, mem.Options{Faults: c.faults})
		a := r.owner("POST", "/api/v1/storage/buckets/verify", tryBody(inBucket))
		data, _ := a.at("data").(map[string]any)
		checks := data["checks"]
		if delete(data, "checks"); fmt.Sprint(data) != c.want || (checks == nil) != (name == "all") {
			t.Errorf("%s: %s", name, a.raw)
		}
		if name == "all" {
			var page provider.Page
			if err := r.account.Bucket("backups-bucket").List(t.Context(), provider.ListRequest{}, &page); err != nil || len(page.Objects) > 0 {
				t.Errorf("verifying left %d objects behind, %v", len(page.Objects), err)
			}
		}
	}
	r := newRig(t, mem.Options{})
	a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/buckets/verify", tryBody(`"bucketName":"my-bucket"`))
	a.refused(404, CodeBucketNotFound)
	if a.at("error", "message") != "Bucket 'my-bucket' does not exist or is not accessible" {
		t.Errorf("%s", a.raw)
	}
}

func TestFolders(t *testing.T) {
	r := newRig(t, mem.Options{})
	list := func() []any {
		return r.owner("POST", "/api/v1/storage/buckets/folders", tryBody(inBucket)).at("data", "folders").([]any)
	}
	if l := list(); len(l) != 0 {
		t.Errorf("an empty bucket has %v", l)
	}
	r.account.Fill("backups-bucket", 1, r.now, "a.txt", "backups/staging/x", "backups/production/y", "archives/z", "backups/w")
	want := []any{"archives/", "backups/", "backups/production/", "backups/staging/"}
	if l := list(); !slices.Equal(l, want) {
		t.Errorf("folders %v, want %v", l, want)
	}
	meta := r.owner("POST", "/api/v1/storage/buckets/folders", tryBody(inBucket)).at("meta")
	if fmt.Sprint(meta) != "map[depth:16 limit:10000 truncated:false]" {
		t.Errorf("meta %v", meta)
	}
	r.account.Fill("backups-bucket", 1, r.now, strings.Repeat("d/", 20)+"deep")
	a := r.owner("POST", "/api/v1/storage/buckets/folders", tryBody(inBucket))
	if l := a.at("data", "folders").([]any); len(l) != len(want)+maxFolderDepth || a.at("meta", "truncated") != true {
		t.Errorf("%d folders, %v", len(l), a.at("meta"))
	}
}

func TestCreateFolder(t *testing.T) {
	r := newRig(t, mem.Options{})
	create := func(name string) *response {
		return r.owner("POST", "/api/v1/storage/buckets/folders/create", tryBody(inBucket, `"folderName":"`+name+`"`))
	}
	a := create("backups/new-project")
	if a.status != 201 || a.at("message") != "Folder created successfully" || fmt.Sprint(a.at("data")) != "map[created:true folder:backups/new-project/]" {
		t.Errorf("%d %s", a.status, a.raw)
	}
	info, err := r.account.Bucket("backups-bucket").Stat(t.Context(), "backups/new-project/")
	if err != nil || info.Size != 0 {
		t.Errorf("the folder is %v, %v", info, err)
	}
	for _, again := range []string{"backups/new-project", "/backups/new-project//", "backups"} {
		if a := create(again); a.status != 200 || a.at("data", "created") != false {
			t.Errorf("%s again: %d %s", again, a.status, a.raw)
		}
	}
	if got := create(`ü +&=#?\"\u00e9 100%`).at("data", "folder"); got != `ü +&=#?"é 100%/` {
		t.Errorf("the folder is %q", got)
	}
}

// hostile are names of folders that some layer on the way would change.
var hostile = []string{
	"", "/", "//", "..", ".", "../x", "a/../b", "a/./b", "a//b", "a\\\\..\\\\b", "a\\\\b", "a\\u0000b", "a\\nb", "a\\u007fb", "a\\u0085b",
	" ", "a /b", "a/ b", "a%20", "%2e%2e/x", "a/%2E%2e/b", "a%2f..%2fb", "a%2f%2fb", "a%5cb", "a%00b", "%2e", "a%c0%aeb", "a%ed%a0%80b", strings.Repeat("a", 1024),
}

func TestHostileFolderNames(t *testing.T) {
	r := newRig(t, mem.Options{})
	for _, name := range hostile {
		a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/buckets/folders/create", tryBody(inBucket, `"folderName":"`+name+`"`))
		if f := a.refused(400, CodeValidation); f["folderName"] == nil {
			t.Errorf("%.50q: %s", name, a.raw)
		}
	}
	for _, body := range []string{"a\xc0\xaeb", "a\xffb", "a\xed\xa0\x80b", `a\ud800b`} { // invalid UTF-8
		a := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/buckets/folders/create", tryBody(inBucket, `"folderName":"`+body+`"`))
		if f := a.refused(400, CodeValidation); f["body"] == nil {
			t.Errorf("%q: %s", body, a.raw)
		}
	}
	if l := r.owner("POST", "/api/v1/storage/buckets/folders", tryBody(inBucket)).at("data", "folders").([]any); len(l) != 0 {
		t.Errorf("refused names made %v", l)
	}
}

func FuzzFolderName(f *testing.F) {
	for _, name := range append(hostile, "a/b", "ü", "100%", "%zz", "a%2eb") {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkFolder(name) != "" {
			return
		}
		key := strings.Trim(name, "/") + "/"
		if len(key) > maxKey || !printable(key) || strings.ContainsAny(key, "\\\x00") {
			t.Errorf("%q became the key %q", name, key)
		}
		for segment := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
			if segment == "" || segment == "." || segment == ".." {
				t.Errorf("%q has the segment %q", name, segment)
			}
		}
	})
}
