package api

import (
	"fmt"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider/mem"
)

func TestAudit(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	if a := r.owner("GET", "/api/v1/storage/audit", ""); len(a.at("data", "entries").([]any)) != 0 {
		t.Errorf("%s", a.raw)
	}
	for i := range 5 {
		intent := fmt.Sprintf("del_%d", i)
		paths := [][]byte{fmt.Appendf(nil, "backups/production/%d.backup", i), []byte("backups/production/kept")}
		r.propose(&pb.BeginDelete{Org: org, DestinationId: id, Id: intent, Who: "tok_x", Node: "n/1", At: 1e12, Revision: 1, Paths: paths})
		r.propose(&pb.FinishDelete{Org: org, Id: intent, At: 1e12 + 1000, Outcomes: []*pb.Outcome{
			{Path: paths[0], Deleted: true, Size: 7}, {Path: paths[1], Reason: "it is locked"},
		}})
	}
	a := r.do(catalog.RoleViewer, "GET", "/api/v1/storage/audit?limit=2", "")
	if a.at("data", "entries", 0, "id") != "del_4" || a.at("data", "entries", 0, "who") != "tok_x" || a.at("data", "entries", 0, "destinationId") != id ||
		a.at("data", "entries", 0, "startedAt") != "2001-09-09T01:46:40.000Z" || a.at("data", "entries", 0, "finishedAt") != "2001-09-09T01:46:41.000Z" ||
		a.at("data", "entries", 0, "files", 0, "path") != "backups/production/4.backup" || a.at("data", "entries", 0, "files", 0, "size") != "7" ||
		a.at("data", "entries", 0, "files", 0, "deleted") != true || a.at("data", "entries", 0, "files", 1, "reason") != "it is locked" {
		t.Errorf("%s", a.raw)
	}
	var ids []any
	for cursor := ""; ; {
		a := r.owner("GET", "/api/v1/storage/audit?limit=2&cursor="+cursor, "")
		for i := range a.at("data", "entries").([]any) {
			ids = append(ids, a.at("data", "entries", i, "id"))
		}
		if cursor, _ = a.at("meta", "nextCursor").(string); cursor == "" {
			break
		}
	}
	if fmt.Sprint(ids) != "[del_4 del_3 del_2 del_1 del_0]" {
		t.Errorf("pages: %v", ids)
	}
	r.do(catalog.RoleViewer, "GET", "/api/v1/storage/audit?limit=101", "").refused(400, CodeValidation)
}
