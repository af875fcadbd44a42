package deletion

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/provider"
	"firescan/provider/mem"
)

// withoutTags is a server whose lists have no tags.
func withoutTags(_ context.Context, _ string, _ provider.ListRequest, page *provider.Page) error {
	for i := range page.Objects {
		page.Objects[i].Tag = nil
	}
	return nil
}

// TestListsWithoutTags: size, time and a lookup decide, whether files are looked up by a list
// or one by one.
func TestListsWithoutTags(t *testing.T) {
	for name, ignored := range conditioned {
		for _, n := range []int{3, 30} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				r := newDeleteRig(t, mem.Options{Ignore: ignored, Faults: mem.Faults{AfterList: withoutTags}})
				r.account.Fill(bucket, 10, old, "linked.backup", "replaced.backup", "resized.backup")
				paths := []string{"linked.backup", "replaced.backup", "resized.backup"}
				for i := range n {
					paths = append(paths, fmt.Sprintf("o%02d.backup", i))
				}
				r.account.Fill(bucket, 10, old, paths[3:]...)
				r.backups("linked.backup")
				r.sync()
				r.put("replaced.backup", "0123456789") // later
				r.account.Fill(bucket, 11, old, "resized.backup")
				for path, o := range r.delete(paths...) {
					switch path {
					case "linked.backup":
						if o.Deleted || !errors.Is(o.Err, catalog.ErrNotOrphan) {
							t.Errorf("%s: %+v", path, o)
						}
					case "replaced.backup", "resized.backup":
						if o.Deleted || !errors.Is(o.Err, ErrChanged) {
							t.Errorf("%s: %+v", path, o)
						}
					default:
						if !o.Deleted || o.Err != nil {
							t.Errorf("%s: %+v", path, o)
						}
					}
				}
			})
		}
	}
}

// TestListsWithoutTagsBeforeTheFirstSync: a file that the index does not have is looked up by a
// list, twice where the bucket honors no conditions.
func TestListsWithoutTagsBeforeTheFirstSync(t *testing.T) {
	for name, ignored := range conditioned {
		for _, n := range []int{1, 20} {
			r := newDeleteRig(t, mem.Options{Ignore: ignored, Faults: mem.Faults{AfterList: withoutTags}})
			var paths []string
			for i := range n {
				paths = append(paths, fmt.Sprintf("o%02d.backup", i))
			}
			r.account.Fill(bucket, 10, old, paths...)
			for path, o := range r.delete(paths...) {
				if !o.Deleted || o.Err != nil {
					t.Errorf("%s, %d files: %s: %+v", name, n, path, o)
				}
			}
		}
	}
}

// TestReplacedAfterTheLookup: the tag of the lookup is the condition of the delete.
func TestReplacedAfterTheLookup(t *testing.T) {
	for _, ignored := range []mem.Ignored{{}, {Batch: true}} {
		for _, n := range []int{1, 20} {
			r := newDeleteRig(t, mem.Options{Ignore: ignored, Faults: mem.Faults{AfterList: withoutTags}})
			var paths []string
			for i := range n {
				paths = append(paths, fmt.Sprintf("o%02d.backup", i))
			}
			r.account.Fill(bucket, 10, old, paths...)
			r.sync()
			r.delete() // learns the conditions
			r.set(func(_ int, what string) error {
				if what == "delete" || what == "delete batch" {
					r.put(paths[0], "0123456789")
				}
				return nil
			}, nil)
			if o := r.delete(paths...)[paths[0]]; o.Deleted || !errors.Is(o.Err, ErrChanged) {
				t.Errorf("%+v, %d files: %+v", ignored, n, o)
			}
		}
	}
}

// TestUntaggedTimes checks which times are the same one.
func TestUntaggedTimes(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_500)
	for _, c := range []struct {
		modified int64
		tag      string
		now      time.Time
		want     bool
	}{
		{at.UnixMilli(), "tag", at.Truncate(time.Second), true},
		{at.UnixMilli(), "tag", at.Add(time.Second), false},
		{at.UnixMilli(), "", at, true},
		{0, "tag", at, false}, // neither tag nor time
		{0, "", at, false},
	} {
		f := candidate{known: true, size: 5, modified: c.modified, digest: noTag}
		if got := f.matches(&provider.Info{Size: 5, ModTime: c.now, Tag: c.tag}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
