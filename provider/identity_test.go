package provider_test

import (
	"context"
	"testing"
	"time"

	"firescan/provider"
	"firescan/provider/mem"
)

func TestProbeIdentity(t *testing.T) {
	one, two := mem.New(mem.Options{}, "b"), mem.New(mem.Options{}, "b")
	broken := mem.New(mem.Options{Faults: mem.Faults{Stat: func(context.Context, string, string) error {
		return &provider.Error{Op: "stat", Kind: provider.Unavailable, Reason: "no route"}
	}}}, "b")
	got, err := provider.ProbeIdentity(t.Context(), one.Bucket("b"), "p/", []provider.Bucket{one.Bucket("b"), two.Bucket("b"), broken.Bucket("b")})
	if err != nil || got[0] != (provider.Sighting{Seen: true, Exact: true}) || got[1] != (provider.Sighting{}) || got[2].Seen || got[2].Err == nil {
		t.Errorf("%+v, %v", got, err)
	}
	var page provider.Page
	if err := one.Bucket("b").List(t.Context(), provider.ListRequest{}, &page); err != nil || len(page.Objects) > 0 {
		t.Errorf("%d objects are left, %v", len(page.Objects), err)
	}
}

// TestCompareSamples: equal objects are one bucket, others are two, and what changes or is
// empty shows nothing.
func TestCompareSamples(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	fill := func(size int64, at time.Time, keys ...string) *mem.Account {
		a := mem.New(mem.Options{PageSize: 3}, "b")
		a.Fill("b", size, at, keys...)
		return a
	}
	some := fill(5, at, "a", "b", "c", "d", "e")
	for name, tc := range map[string]struct {
		other       *mem.Account
		same, knows bool
	}{
		"itself":           {some, true, true},
		"a copy":           {fill(5, at.Add(time.Second), "a", "b", "c", "d", "e"), false, true},
		"another size":     {fill(6, at, "a", "b", "c", "d", "e"), false, true},
		"other keys":       {fill(5, at, "x", "y"), false, true},
		"one key in front": {fill(5, at, "0", "b"), true, true},
		"empty":            {fill(5, at), false, true},
	} {
		same, err := provider.CompareSamples(t.Context(), some.Bucket("b"), tc.other.Bucket("b"), "")
		if same != tc.same || (err == nil) != tc.knows {
			t.Errorf("%s: %v, %v; want %v, %v", name, same, err, tc.same, tc.knows)
		}
		if back, err := provider.CompareSamples(t.Context(), tc.other.Bucket("b"), some.Bucket("b"), ""); back != same || err != nil {
			t.Errorf("%s the other way: %v, %v", name, back, err)
		}
	}
	empty := fill(5, at)
	if same, err := provider.CompareSamples(t.Context(), empty.Bucket("b"), fill(5, at).Bucket("b"), ""); same || err == nil {
		t.Errorf("two empty buckets: %v, %v", same, err)
	}
	// Every object is replaced between two lists.
	var changing *mem.Account
	lists := 0
	changing = mem.New(mem.Options{Faults: mem.Faults{BeforeList: func(context.Context, string, provider.ListRequest) error {
		lists++
		changing.Fill("b", int64(lists), at, "a", "b")
		return nil
	}}}, "b")
	if same, err := provider.CompareSamples(t.Context(), changing.Bucket("b"), changing.Bucket("b"), ""); same || err == nil {
		t.Errorf("a bucket that changes: %v, %v", same, err)
	}
	denied := mem.New(mem.Options{Faults: mem.Faults{BeforeList: mem.Broken(provider.Denied).BeforeList}}, "b")
	if _, err := provider.CompareSamples(t.Context(), some.Bucket("b"), denied.Bucket("b"), ""); provider.KindOf(err) != provider.Denied {
		t.Errorf("a bucket that may not be listed: %v", err)
	}
}

// TestProbeIdentityBySize: an object that is seen with another size, as servers that encrypt
// show it, is the same object.
func TestProbeIdentityBySize(t *testing.T) {
	a := mem.New(mem.Options{}, "b")
	got, err := provider.ProbeIdentity(t.Context(), a.Bucket("b"), "", []provider.Bucket{larger{a.Bucket("b")}, everything{a.Bucket("b")}})
	if err != nil || !got[0].Seen || !got[0].Exact {
		t.Errorf("%+v, %v", got, err)
	}
	// A server that has every key does not know the tag.
	if !got[1].Seen || got[1].Exact {
		t.Errorf("a server that has everything: %+v", got[1])
	}
}

// larger is a bucket that shows all objects larger than they are.
type larger struct{ provider.Bucket }

func (l larger) Stat(ctx context.Context, key string) (provider.Info, error) {
	info, err := l.Bucket.Stat(ctx, key)
	info.Size += 16
	return info, err
}

// everything is a bucket that claims to have whatever it is asked for.
type everything struct{ provider.Bucket }

func (everything) Stat(_ context.Context, key string) (provider.Info, error) {
	return provider.Info{Key: key, Size: 60, Tag: "d41d8cd98f00b204e9800998ecf8427e"}, nil
}
