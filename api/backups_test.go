package api

import (
	"fmt"
	"slices"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// TestMissingBackups lists more missing records than one batch has, some of them
// deleted meanwhile and some of another organization.
func TestMissingBackups(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	const n = 2300
	var missing []index.Missing
	var want []string
	var records []*pb.Record
	for i := range n {
		name, path := fmt.Sprintf("bkp_%04d", i), fmt.Sprintf("backups/production/%04d.backup", i)
		owner := org
		switch {
		case i%10 == 3:
			owner = "org2"
		case i%10 != 7: // else it was deleted
			want = append(want, name)
			records = append(records, &pb.Record{Kind: &pb.Record_Backup{Backup: &pb.Backup{
				Org: org, Id: name, StorageId: id, Size: 3, StoragePath: []byte(path),
			}}})
		}
		missing = append(missing, index.Missing{Org: []byte(owner), BackupID: []byte(name), Path: []byte(path)})
	}
	for chunk := range slices.Chunk(records, 500) {
		r.propose(&pb.PutRecords{Org: org, Records: chunk})
	}
	r.fill(id, nil, missing...)
	base := "/api/v1/storage/destinations/" + id + "/backups?missing=true"
	list := func(a *response) (ids []string) {
		if a.at("data", "totalCount") != float64(len(want)) || a.at("data", "totalSize") != float64(3*len(want)) {
			t.Errorf("totals of %s, want %d", a.raw[max(0, len(a.raw)-200):], len(want))
		}
		for i := range a.at("data", "backups").([]any) {
			ids = append(ids, a.at("data", "backups", i, "id").(string))
		}
		return ids
	}
	if got := list(r.owner("GET", base, "")); !slices.Equal(got, want) {
		t.Errorf("%d missing backups in one response, want %d", len(got), len(want))
	}
	var pages []string
	for cursor := ""; ; {
		a := r.owner("GET", base+"&limit=700&cursor="+cursor, "")
		pages = append(pages, list(a)...)
		meta, _ := a.body["meta"].(map[string]any)
		if cursor, _ = meta["nextCursor"].(string); cursor == "" {
			break
		}
	}
	if !slices.Equal(pages, want) {
		t.Errorf("%d missing backups in pages, want %d", len(pages), len(want))
	}
	const backupsRoute = "/api/v1/storage/destinations/:id/backups"
	for _, bad := range []string{"***", "zzzz", encodeCursor(backupsRoute, []byte{0xff}), encodeCursor(backupsRoute, []byte("\x05ab")), encodeCursor("/another/list", []byte("\x00a"))} {
		if f := r.do(catalog.RoleViewer, "GET", base+"&cursor="+bad, "").refused(400, CodeValidation); f["cursor"] == nil {
			t.Errorf("cursor %s: fields %v", bad, f)
		}
	}
}
