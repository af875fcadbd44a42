package api

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

func line(i int, storage string) string {
	return fmt.Sprintf(`{"kind":"backup","id":"bkp_%d","storageId":%q,"projectId":"proj_1","status":"completed","size":%d,"collections":["users"],"createdAt":"2024-01-15T10:00:00Z","storagePath":"backups/production/bkp_%d.backup"}`+"\n", i, storage, i, i)
}

func TestImport(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	body := `{"kind":"project","id":"proj_1","name":"App"}` + "\n" + // 1
		"\n" + // 2: empty lines are nothing
		line(1, id) + // 3
		`{"kind":"backup","id":"bkp_x","storageId":"` + id + `","colour":"red"}` + "\n" + // 4
		`not json` + "\n" + // 5
		`{"kind":"bucket","id":"b"}` + "\n" + // 6
		line(2, "storage_unknown") + // 7
		`{"kind":"backup","id":"","storageId":"` + id + `","size":-1}` + "\n" + // 8
		`{"kind":"schedule","id":"sched_1","storageId":"` + id + `","name":"Daily","enabled":true,"cronExpression":"0 2 * * *"}` + "\n" + // 9
		`{"kind":"pitr","id":"pitr_1","storageId":"` + id + `","prefix":"wal/"}` + "\n" + // 10
		`{"kind":"pitr","id":"pitr_2","storageId":"` + id + `","prefix":""}` + "\n" + // 11
		`{"kind":"backup","id":"long","storageId":"` + id + `","status":"` + strings.Repeat("x", maxLine) + `"}` + "\n" + // 12
		strings.TrimSuffix(line(3, id), "\n") // 13, without a line feed
	a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", body)
	if a.status != 200 || a.at("message") != "Imported 5 of 12 records" || a.at("data", "failedCount") != 7.0 {
		t.Fatalf("import: %d %.600s", a.status, a.raw)
	}
	var lines []string
	for i := range a.at("data", "errors").([]any) {
		lines = append(lines, fmt.Sprint(a.at("data", "errors", i, "line"), " ", a.at("data", "errors", i, "message")))
	}
	for i, want := range []string{"4 colour", "5 is no valid JSON", `6 kind "bucket"`, "7 ", "8 id must", "11 prefix", "12 the line is longer"} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("error %d is %q, want %q", i, lines[i], want)
		}
	}
	if a.at("data", "imported", "backups") != 2.0 || a.at("data", "imported", "pitr") != 1.0 {
		t.Errorf("imported %v", a.at("data", "imported"))
	}
	got := r.do(catalog.RoleService, "GET", "/api/v1/catalog/backups/bkp_3", "")
	if got.at("data", "storagePath") != "backups/production/bkp_3.backup" || got.at("data", "createdAt") != "2024-01-15T10:00:00Z" {
		t.Errorf("imported record: %s", got.raw)
	}
	r.do(catalog.RoleService, "GET", "/api/v1/catalog/backups/bkp_2", "").refused(404, CodeBackupNotFound)
}

// TestImportKeepsTheLastOfAnID sends one id in many batches: the last line wins.
func TestImportKeepsTheLastOfAnID(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	var body strings.Builder
	for i := range 20_000 {
		body.WriteString(line(i%7000, id))
		if i%900 == 0 {
			fmt.Fprintf(&body, `{"kind":"backup","id":"again","storageId":%q,"size":%d,"storagePath":"a"}`+"\n", id, i)
		}
	}
	a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", body.String())
	if a.at("data", "failedCount") != 0.0 {
		t.Fatalf("import: %s", a.raw)
	}
	if got := r.do(catalog.RoleService, "GET", "/api/v1/catalog/backups/again", ""); got.at("data", "size") != 19800.0 {
		t.Errorf("the record is that of line %v, want the last", got.at("data", "size"))
	}
	if got := r.owner("GET", "/api/v1/storage/destinations/"+id+"/backups?limit=1", ""); got.at("data", "totalCount") != 7001.0 {
		t.Errorf("%v backups, want 7001", got.at("data", "totalCount"))
	}
}

// TestImportIsBoundedInMemory streams lines that are made on the way.
func TestImportIsBoundedInMemory(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := &importer{call: &call{server: r.server, org: org, Request: nil}, kinds: map[string]feedKind{}, window: &window{}, imported: map[string]uint64{}}
	for _, k := range feedKinds() {
		m.kinds[k.name] = k
	}
	for i := range 100_000 {
		if err := m.take(t.Context(), i+1, []byte(line(i, id)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if m.imported["backups"] != 100_000 {
		t.Fatalf("imported %v", m.imported)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("100,000 lines left %d MiB on the heap", grown>>20)
	}
}

func FuzzImportLine(f *testing.F) {
	f.Add(line(1, "storage_1"))
	f.Add(`{"kind":"pitr","id":"p","storageId":"s","prefix":"a"}`)
	f.Add(`{"kind":"backup","id":null,"files":[null,"a"]}`)
	m := &importer{kinds: map[string]feedKind{}}
	for _, k := range feedKinds() {
		m.kinds[k.name] = k
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, r, problem := m.parse([]byte(s))
		wrong := fieldErrors{}
		if problem != "" {
			return
		}
		if r.check(wrong); len(wrong) > 0 {
			t.Errorf("%q was taken: %v", s, wrong)
		}
	})
}

func BenchmarkImportParse(b *testing.B) {
	m := &importer{kinds: map[string]feedKind{}}
	for _, k := range feedKinds() {
		m.kinds[k.name] = k
	}
	l := []byte(line(12345, "storage_1"))
	b.ReportAllocs()
	for b.Loop() {
		_, r, problem := m.parse(l)
		if problem != "" {
			b.Fatal(problem)
		}
		_ = r.message(org)
	}
}
