package provider_test

import (
	"context"
	"testing"

	"firescan/provider"
	"firescan/provider/mem"
)

func TestProbeIdentity(t *testing.T) {
	one, two := mem.New(mem.Options{}, "b"), mem.New(mem.Options{}, "b")
	broken := mem.New(mem.Options{Faults: mem.Faults{Stat: func(context.Context, string, string) error {
		return &provider.Error{Op: "stat", Kind: provider.Unavailable, Reason: "no route"}
	}}}, "b")
	same, errs, err := provider.ProbeIdentity(t.Context(), one.Bucket("b"), "p/", []provider.Bucket{one.Bucket("b"), two.Bucket("b"), broken.Bucket("b")})
	if err != nil || !same[0] || same[1] || errs[0] != nil || errs[1] != nil || errs[2] == nil {
		t.Errorf("same %v, errors %v, %v", same, errs, err)
	}
	var page provider.Page
	if err := one.Bucket("b").List(t.Context(), provider.ListRequest{}, &page); err != nil || len(page.Objects) > 0 {
		t.Errorf("%d objects are left, %v", len(page.Objects), err)
	}
}
