package catalog

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

// compareDeletes compares intents, marks, audit records, stored responses and holders with the model.
func (x *machine) compareDeletes(t *rapid.T, tx *Tx) {
	m := x.model
	intents, err := tx.Intents()
	same(t, "intents", intents, err, sorted(m.intents, yes[*pb.Intent], func(a, b *pb.Intent) int {
		return strings.Compare(a.Org+a.Id, b.Org+b.Id)
	}))
	for _, org := range allOrgs {
		audits, err := tx.Audit(org, "", 0)
		want := sorted(m.audits, func(a *pb.Audit) bool { return a.Org == org }, byIDOf[*pb.Audit])
		slices.Reverse(want)
		same(t, "audit", audits, err, want)
		for i, a := range want {
			page, err := tx.Audit(org, a.Id, 1)
			same(t, "a page of the audit", page, err, want[i+1:min(len(want), i+2)])
		}
		for _, key := range []string{"k1", "k2"} {
			got, err := tx.Answer(org, key)
			want := m.answers[owned{org, key}]
			if want == nil && errors.Is(err, ErrNotFound) {
				continue
			}
			same(t, "answer", []*pb.Answer{got}, err, []*pb.Answer{want})
		}
	}
	times := keysOf(tx.bucket(inAnswersByTime), nil)
	if len(times) != len(m.answers) {
		t.Fatalf("%d stored responses by time, want %d", len(times), len(m.answers))
	}
	for _, dest := range allDests {
		var want []*pb.Holder
		for _, k := range slices.Sorted(maps.Keys(m.holders[dest])) {
			node, generation, _ := strings.Cut(k, "\x00")
			want = append(want, &pb.Holder{Node: node, Generation: generation})
		}
		holders, err := tx.Holders(dest)
		same(t, "holders", holders, err, want)
	}
	for _, bucketID := range allBuckets {
		x.compareMarks(t, tx, bucketID)
	}
}

// compareMarks checks that the marked paths are those of the open intents, and the promise
// for which they are there: no record needs one of them but those that are being deleted.
func (x *machine) compareMarks(t *rapid.T, tx *Tx, bucketID string) {
	want := x.model.marks(bucketID)
	marks := tx.nested(inMarks, bucketID)
	if (marks != nil) != (len(want) > 0) {
		t.Fatalf("%s has marks: %t, want %v", bucketID, marks != nil, want)
	}
	for path := range scan(marks, nil) {
		if !want[string(path)] || !tx.Marked(bucketID, path) {
			t.Fatalf("%q is marked in %s, want %v", path, bucketID, want)
		}
		delete(want, string(path))
	}
	if len(want) > 0 {
		t.Fatalf("%v are not marked in %s", want, bucketID)
	}
	for _, n := range x.model.intents {
		if n.BucketId != bucketID {
			continue
		}
		for _, path := range n.Paths {
			for who, b := range x.model.backups {
				linked := x.model.homes[owned{who.org, b.StorageId}][bucketID] && x.model.needs(who.org, b, string(path))
				if linked && (who.org != n.Org || !slices.Contains(n.BackupIds, who.id)) {
					t.Fatalf("%q is being deleted and backup %v needs it", path, b)
				}
			}
			for prefix := range x.model.prefixes()[bucketID] {
				if strings.HasPrefix(string(path), prefix) {
					t.Fatalf("%q is being deleted and lies under %q", path, prefix)
				}
			}
		}
	}
}
