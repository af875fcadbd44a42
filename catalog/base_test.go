package catalog

import (
	"errors"
	"testing"

	pb "firescan/catalog/catalogpb"
)

// TestStaleEditsAreRefused: an edit of an outdated destination must not undo later edits.
func TestStaleEditsAreRefused(t *testing.T) {
	c := openTest(t)
	d := testDestination("o", "d")
	d.UpdatedAt = 5
	mustPut(t, c, d, true)
	change := func(name string, base, at int64) error {
		d := testDestination("o", "d")
		d.Name, d.UpdatedAt = name, at
		return ResultError(apply(t, c, &pb.PutDestination{Destination: d, BaseUpdatedAt: base}))
	}
	if err := change("first", 5, 6); err != nil {
		t.Fatal(err)
	}
	if err := change("second", 5, 7); !errors.Is(err, ErrConflict) {
		t.Errorf("an edit of an outdated destination: %v, want a conflict", err)
	}
	if err := change("third", 6, 7); err != nil {
		t.Error(err)
	}
	if err := c.View(func(tx *Tx) error {
		got, err := tx.Destination("o", "d")
		if err == nil && got.Name != "third" {
			t.Errorf("it is named %q", got.Name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
