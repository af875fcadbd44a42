package provider

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// FolderLimits bound a search for folders. A zero field takes its default.
type FolderLimits struct {
	// Depth is the maximum number of levels; default 16.
	Depth int
	// Count is the maximum number of folders; default 10,000.
	Count int
	// Requests is the maximum number of lists; default 2,000. A folder with millions of
	// files takes a list for each thousand of them.
	Requests int
	// Parallel is how many lists run at once; default 32.
	Parallel int
	// Time is the maximum duration; default 45 s.
	Time time.Duration
}

func (l FolderLimits) withDefaults() FolderLimits {
	for field, standard := range map[*int]int{&l.Depth: 16, &l.Count: 10_000, &l.Requests: 2_000, &l.Parallel: 32} {
		if *field <= 0 {
			*field = standard
		}
	}
	if l.Time <= 0 {
		l.Time = 45 * time.Second
	}
	return l
}

// FolderList is what Folders found.
type FolderList struct {
	// Folders are prefixes that end in '/', ascending.
	Folders []string
	// Truncated is set when a limit was reached before all folders were found.
	Truncated bool
	// Depth is the number of levels that were listed.
	Depth int
}

// Folders finds the folders of a bucket, which are the parts of its keys up to each '/',
// by lists with a delimiter: level by level, the folders of one level in parallel.
func Folders(ctx context.Context, b Bucket, limits FolderLimits) (FolderList, error) {
	limits = limits.withDefaults()
	looking, cancel := context.WithTimeout(ctx, limits.Time)
	defer cancel()
	f := finder{bucket: b, limits: limits, began: time.Now(), late: func() bool { return looking.Err() != nil && ctx.Err() == nil }}
	var found FolderList
	level := []string{""}
	for len(level) > 0 && found.Depth < limits.Depth && !f.truncated.Load() {
		below, err := f.below(looking, level, limits.Count-len(found.Folders))
		if err != nil {
			return FolderList{}, err
		}
		found.Depth++
		found.Folders = append(found.Folders, below...)
		level = below
	}
	if err := Ended(ctx, "list", ""); err != nil {
		return FolderList{}, err
	}
	// The deepest folders may have folders that were not listed.
	found.Truncated = f.truncated.Load() || len(level) > 0
	slices.Sort(found.Folders)
	return found, nil
}

type finder struct {
	bucket    Bucket
	limits    FolderLimits
	began     time.Time
	late      func() bool // reports whether its time is over
	requests  atomic.Int64
	truncated atomic.Bool
}

// below lists the folders directly below each of a level's folders, at most count of
// them all together.
func (f *finder) below(ctx context.Context, level []string, count int) ([]string, error) {
	found := make([][]string, len(level))
	var total atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.limits.Parallel)
	for i, folder := range level {
		// Lists begin in order, so the folders found do not depend on the speed of lists.
		if total.Load() > int64(count) || ctx.Err() != nil {
			break
		}
		group.Go(func() (err error) {
			found[i], err = f.list(ctx, folder, count)
			total.Add(int64(len(found[i])))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(found...)
	if len(all) > count || f.late() {
		all = all[:min(count, len(all))]
		f.truncated.Store(true)
	}
	return all, nil
}

// list finds the folders directly below one, and one more than count at most.
func (f *finder) list(ctx context.Context, folder string, count int) ([]string, error) {
	var found []string
	var page Page
	req := ListRequest{Prefix: folder, Delimiter: "/", Since: f.began}
	for {
		if f.requests.Add(1) > int64(f.limits.Requests) {
			f.truncated.Store(true)
			return found, nil
		}
		if err := f.bucket.List(ctx, req, &page); err != nil {
			// A server that has not returned a single list failed.
			if f.late() && folder+req.Start != "" {
				f.truncated.Store(true)
				return found, nil
			}
			return nil, err
		}
		for _, prefix := range page.Prefixes {
			found = append(found, strings.Clone(prefix))
		}
		if !page.More || len(found) > count {
			return found, nil
		}
		req.Start = page.Next
	}
}
