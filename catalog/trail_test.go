package catalog

import (
	"fmt"
	"strings"
	"testing"

	pb "firescan/catalog/catalogpb"
)

// trail returns the ids of the audit entries of an organization, newest first.
func trail(t *testing.T, c *Catalog, org, before string) (ids []string) {
	t.Helper()
	if err := c.View(func(tx *Tx) error {
		return tx.Trail(org, before, func(e *pb.AuditEntry) bool {
			ids = append(ids, e.Id)
			return len(ids) < 100
		})
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestTrailIsBounded: an organization that does much pushes out its own oldest entries, and no
// other's.
func TestTrailIsBounded(t *testing.T) {
	c := openTest(t)
	record := func(keep uint32, bytes uint64, entries ...*pb.AuditEntry) {
		apply(t, c, &pb.RecordAudit{Keep: keep, KeepBytes: bytes, Entries: entries})
	}
	entry := func(org string, i int) *pb.AuditEntry {
		return &pb.AuditEntry{Org: org, Id: fmt.Sprintf("aud_%02d", i), Action: "sync.start"}
	}
	record(3, 1<<20, entry("org2", 0), entry("", 0))
	for i := range 5 {
		record(3, 1<<20, entry("org", i), entry("org", i)) // the second is the same
	}
	if got := fmt.Sprint(trail(t, c, "org", ""), trail(t, c, "org", "aud_03"), trail(t, c, "org2", ""), trail(t, c, "", "")); got !=
		"[aud_04 aud_03 aud_02] [aud_02] [aud_00] [aud_00]" {
		t.Errorf("entries: %s", got)
	}
	record(9, 1, entry("org", 5))
	if got := fmt.Sprint(trail(t, c, "org", "")); got != "[aud_05]" {
		t.Errorf("with a limit of one byte: %s", got)
	}
	record(0, 0, entry("org", 6), entry("org", 7))
	if got := fmt.Sprint(trail(t, c, "org", "")); got != "[aud_07]" {
		t.Errorf("without a limit: %s", got)
	}
	long := entry("org", 8)
	long.Target = strings.Repeat("x", 2048)
	if r := apply(t, c, &pb.RecordAudit{Keep: 9, KeepBytes: 1 << 20, Entries: []*pb.AuditEntry{long}}); r.Code != CodeInvalid {
		t.Errorf("a long target: %v", r)
	}
}
