package gcs

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"firescan/keyspace"
	"firescan/provider"
)

// names draws what objects are called; bounds also what ranges are cut at.
var (
	names = rapid.StringOfN(rapid.OneOf(
		rapid.SampledFrom([]rune("ab/~é本🔥\x00\x01\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff")), rapid.Rune(),
	), 1, 6, -1)
	bounds = rapid.OneOf(names, rapid.Custom(func(t *rapid.T) string {
		name := names.Draw(t, "name")
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			return keyspace.After(name)
		case 1:
			return keyspace.PrefixEnd(name)
		case 2:
			return name[:rapid.IntRange(0, len(name)).Draw(t, "cut")]
		default:
			return name + string(rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "bytes"))
		}
	}))
)

// TestWindowsAreNeverTooNarrow checks that the requested bounds include the range and are
// valid.
func TestWindowsAreNeverTooNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := provider.ListRequest{Prefix: bounds.Draw(t, "prefix"), Start: bounds.Draw(t, "start"), End: bounds.Draw(t, "end")}
		if rapid.Bool().Draw(t, "whole bucket") {
			req.Prefix = ""
		}
		w, some := newWindow(req)
		for _, bound := range []string{w.prefix, w.from, w.until} {
			if !utf8.ValidString(bound) || len(bound) > maxKey {
				t.Fatalf("%q cannot be sent", bound)
			}
		}
		for range 20 {
			key := names.Draw(t, "key")
			if rapid.Bool().Draw(t, "below the prefix") {
				key = req.Prefix + key
			}
			if !utf8.ValidString(key) {
				continue
			}
			wanted := strings.HasPrefix(key, req.Prefix) && key >= req.Start && (req.End == "" || key < req.End)
			sent := some && strings.HasPrefix(key, w.prefix) && key >= w.from && (w.until == "" || key < w.until)
			kept := sent && key >= w.start && (w.end == "" || key < w.end)
			if wanted && !sent || wanted != kept {
				t.Fatalf("%+v: key %q is wanted: %v, sent: %v, kept: %v (%+v)", req, key, wanted, sent, kept, w)
			}
		}
	})
}

// TestCeiling checks that between a bound and its ceiling there is no name, and the
// ceiling is one.
func TestCeiling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound, name := bounds.Draw(t, "bound"), names.Draw(t, "name")
		c, some := ceiling(bound)
		if !some {
			if name >= bound {
				t.Fatalf("%q lies behind %q, but nothing is to", name, bound)
			}
			return
		}
		if !utf8.ValidString(c) || c < bound || (name >= bound) != (name >= c) {
			t.Fatalf("ceiling %q of %q, name %q", c, bound, name)
		}
	})
}

func TestBounds(t *testing.T) {
	long := strings.Repeat("k", maxKey)
	for _, c := range []struct {
		req                 provider.ListRequest
		prefix, from, until string
	}{
		{provider.ListRequest{}, "", "", ""},
		{provider.ListRequest{Prefix: "dir/"}, "dir/", "", ""},
		{provider.ListRequest{Prefix: "dir/", Start: "a", End: "z"}, "dir/", "", ""},
		{provider.ListRequest{Prefix: "dir/", Start: "dir/m", End: "dir/x"}, "dir/", "dir/m", "dir/x"},
		{provider.ListRequest{Start: keyspace.After("k"), End: keyspace.After("m")}, "", "k", "m "},
		{provider.ListRequest{Start: "caf\xc3"}, "", "caf\u00c0", ""},
		{provider.ListRequest{End: "caf\xc3\xc0"}, "", "", "caf\u0100"},
		{provider.ListRequest{End: "a\xff"}, "", "", "b"},
		{provider.ListRequest{End: "\xff"}, "", "", ""},
		{provider.ListRequest{Start: "\ud7ff\xff"}, "", "\ue000", ""},
		{provider.ListRequest{Prefix: "caf\xc3"}, "caf", "caf\u00c0", "caf\u0100"},
		{provider.ListRequest{Start: keyspace.After(long), End: long + "x"}, "", long, ""},
	} {
		w, some := newWindow(c.req)
		if !some || w.prefix != c.prefix || w.from != c.from || w.until != c.until {
			t.Errorf("%+v: prefix %q, from %q, until %q, %v", c.req, w.prefix, w.from, w.until, some)
		}
	}
}
