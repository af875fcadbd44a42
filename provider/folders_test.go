package provider_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"firescan/provider"
	"firescan/provider/mem"
)

// TestFoldersInTime checks that folders found before the time limit are returned.
func TestFoldersInTime(t *testing.T) {
	hang := ""
	a := mem.New(mem.Options{Faults: mem.Faults{BeforeList: func(ctx context.Context, _ string, req provider.ListRequest) error {
		if req.Prefix != hang {
			return nil
		}
		<-ctx.Done()
		return provider.Ended(ctx, "list", "bucket")
	}}})
	a.Fill("bucket", 1, a.Now(), "a/b/file", "c/file")
	hang = "a/"
	got, err := provider.Folders(t.Context(), a.Bucket("bucket"), provider.FolderLimits{Time: time.Second})
	if err != nil || !slices.Equal(got.Folders, []string{"a/", "c/"}) || !got.Truncated {
		t.Errorf("%+v, %v", got, err)
	}
	hang = ""
	if got, err := provider.Folders(t.Context(), a.Bucket("bucket"), provider.FolderLimits{Time: 10 * time.Millisecond}); provider.KindOf(err) != provider.Unavailable {
		t.Errorf("of a bucket that returns no list at all: %+v, %v", got, err)
	} else if e, _ := errors.AsType[*provider.Error](err); e.Reason != "the provider did not respond in time" {
		t.Errorf("the reason is %q", e.Reason)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := provider.Folders(ctx, a.Bucket("bucket"), provider.FolderLimits{}); err == nil {
		t.Error("a canceled search returned no error")
	}
}

func TestFolders(t *testing.T) {
	var lists, running, most atomic.Int64
	failAt := int64(0)
	a := mem.New(mem.Options{PageSize: 3, Faults: mem.Faults{BeforeList: func(_ context.Context, _ string, req provider.ListRequest) error {
		defer running.Add(-1)
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		if req.Delimiter != "/" || lists.Add(1) == failAt {
			return &provider.Error{Kind: provider.Denied, Op: "list", Reason: "scripted"}
		}
		return nil
	}}})
	var keys []string
	for i := range 4 {
		for j := range 4 {
			keys = append(keys, fmt.Sprintf("%d/%d/file", i, j), fmt.Sprintf("%d/file%d", i, j), fmt.Sprintf("file%d", j))
		}
	}
	a.Fill("bucket", 1, a.Now(), keys...)
	a.Fill("bucket", 0, a.Now(), "placeholder/", "0//deep/er/", "0//deep/er")
	b := a.Bucket("bucket")
	all := []string{"0/", "0//", "0//deep/", "0//deep/er/"}
	for i := range 4 {
		if i > 0 {
			all = append(all, fmt.Sprintf("%d/", i))
		}
		for j := range 4 {
			all = append(all, fmt.Sprintf("%d/%d/", i, j))
		}
	}
	all = append(all, "placeholder/")

	for _, c := range []struct {
		limits provider.FolderLimits
		want   provider.FolderList
	}{
		{provider.FolderLimits{}, provider.FolderList{Folders: all, Depth: 5}},
		{provider.FolderLimits{Parallel: 1}, provider.FolderList{Folders: all, Depth: 5}},
		{provider.FolderLimits{Depth: 1}, provider.FolderList{Folders: []string{"0/", "1/", "2/", "3/", "placeholder/"}, Truncated: true, Depth: 1}},
		{provider.FolderLimits{Count: len(all)}, provider.FolderList{Folders: all, Depth: 5}},
		{provider.FolderLimits{Count: 7}, provider.FolderList{Folders: []string{"0/", "0//", "0/0/", "1/", "2/", "3/", "placeholder/"}, Truncated: true, Depth: 2}},
		{provider.FolderLimits{Count: 2}, provider.FolderList{Folders: []string{"0/", "1/"}, Truncated: true, Depth: 1}},
		{provider.FolderLimits{Requests: 1}, provider.FolderList{Folders: []string{"0/", "1/", "2/"}, Truncated: true, Depth: 1}},
	} {
		for range 5 {
			got, err := provider.Folders(t.Context(), b, c.limits)
			if err != nil || !slices.Equal(got.Folders, c.want.Folders) || got.Truncated != c.want.Truncated || got.Depth != c.want.Depth {
				t.Fatalf("%+v: %+v, %v; want %+v", c.limits, got, err, c.want)
			}
		}
		if n := most.Swap(0); c.limits.Parallel > 0 && n > int64(c.limits.Parallel) {
			t.Errorf("%+v: %d lists at once", c.limits, n)
		}
	}
	failAt = lists.Load() + 3
	if _, err := provider.Folders(t.Context(), b, provider.FolderLimits{}); provider.KindOf(err) != provider.Denied {
		t.Errorf("error %v", err)
	}
}
