package catalog

import (
	"testing"

	pb "firescan/catalog/catalogpb"
)

// TestFactsOfAnotherRevision: what was found out about a bucket is not believed of another one,
// and stays where the destination does.
func TestFactsOfAnotherRevision(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *pb.Destination)
		kept   bool
	}{
		"name":     {func(d *pb.Destination) { d.Name = "other" }, true},
		"bucket":   {func(d *pb.Destination) { d.Bucket = "other" }, false},
		"path":     {func(d *pb.Destination) { d.Path = "other" }, false},
		"region":   {func(d *pb.Destination) { d.Region = "eu-west-1" }, false},
		"endpoint": {func(d *pb.Destination) { d.Endpoint = "https://other:9000" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			cat := openTest(t)
			d := testDestination("o", "d")
			mustPut(t, cat, d, true)
			apply(t, cat, &pb.SetConditions{Org: "o", Id: "d", Revision: 1, Single: true, Batch: true, At: 2})
			apply(t, cat, &pb.SetVerified{Org: "o", Id: "d", Revision: 1, Verified: true, At: 3})
			c.change(d)
			mustPut(t, cat, d, false)
			if err := cat.View(func(tx *Tx) error {
				now, err := tx.Destination("o", "d")
				if err == nil && (now.Conditions.GetBatch() != c.kept || now.Verified != c.kept || (now.Revision == 1) != c.kept) {
					t.Errorf("after its change: %v", now)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
