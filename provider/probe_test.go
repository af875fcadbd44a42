package provider_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"firescan/provider"
	"firescan/provider/mem"
)

func TestProbeTellsWhatIsDenied(t *testing.T) {
	denied := mem.Broken(provider.Denied)
	for _, want := range []provider.Permissions{
		{},
		{Read: true},
		{Write: true},
		{Delete: true},
		{Read: true, Write: true},
		{Write: true, Delete: true},
		{Read: true, Delete: true},
		{Read: true, Write: true, Delete: true},
	} {
		var faults mem.Faults
		if !want.Read {
			faults.BeforeList = denied.BeforeList
		}
		if !want.Write {
			faults.Put = denied.Put
		}
		if !want.Delete {
			faults.Delete = denied.Delete
		}
		got, err := provider.Probe(t.Context(), mem.New(mem.Options{Faults: faults}, "bucket").Bucket("bucket"), "")
		if err != nil || got != want {
			t.Errorf("permissions %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestProbeCleansUp(t *testing.T) {
	var put, deleted []string
	ctx, cancel := context.WithCancel(t.Context())
	faults := mem.Faults{
		Put: func(_ context.Context, _, key string) error {
			put = append(put, key)
			cancel() // the caller gives up, and the object was written all the same
			return &provider.Error{Kind: provider.Unavailable, Op: "put", Reason: "the answer was lost"}
		},
		Delete: func(_ context.Context, _, key string) error {
			deleted = append(deleted, key)
			return nil
		},
	}
	_, err := provider.Probe(ctx, mem.New(mem.Options{Faults: faults}, "bucket").Bucket("bucket"), "some/prefix/")
	if provider.KindOf(err) != provider.Unavailable {
		t.Errorf("error %v", err)
	}
	if len(put) != 1 || !slices.Equal(put, deleted) || !strings.HasPrefix(put[0], "some/prefix/.firescan-probe-") {
		t.Errorf("put %q, deleted %q", put, deleted)
	}
}

func TestProbeConditions(t *testing.T) {
	for _, ignored := range []mem.Ignored{{}, {Single: true}, {Batch: true}, {Single: true, Batch: true}} {
		b := mem.New(mem.Options{Ignore: ignored}, "bucket").Bucket("bucket")
		got, err := provider.ProbeConditions(t.Context(), b, "some/prefix/")
		if want := (provider.Conditions{Single: !ignored.Single, Batch: !ignored.Batch}); err != nil || got != want {
			t.Errorf("%+v ignored: %+v, %v", ignored, got, err)
		}
		var page provider.Page
		if err := b.List(t.Context(), provider.ListRequest{}, &page); err != nil || len(page.Objects) != 0 {
			t.Errorf("%+v ignored: %d canaries are left, %v", ignored, len(page.Objects), err)
		}
	}
}
