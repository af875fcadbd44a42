package s3

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"firescan/keyspace"
)

func TestStartAfter(t *testing.T) {
	long := strings.Repeat("k", maxKey-1)
	for _, c := range []struct{ prefix, start, want string }{
		{"", "", ""},
		{"a/", "", ""},
		{"a/", "a/", ""},
		{"a/", "A", ""},
		{"", keyspace.After("key"), "key"},
		{"a/", keyspace.After("a/key"), "a/key"},
		{"a/", keyspace.After("a/"), ""},
		{"", "key\x00\x00", "key"},
		{"", "\x00", ""},
		{"", "b", "a~"},
		{"dir/", "dir/b", "dir/a~"},
		{"", "a ", "a"},        // nothing printable is less than a blank
		{"", "a!", "a ~"},      //
		{"", "a&", "a$~"},      // no '%'
		{"", "a\x01", "a"},     // a control character is not made up
		{"", "a0", "a/~"},      //
		{"", "a\u00a0", "a~~"}, // C1 control characters are passed over
		{"", "日本", "日\u672b~"},
		{"", "a\ue000", "a\ud7ff~"},     // surrogates are passed over
		{"", "a\ufdf0", "a\ufdcf~"},     // noncharacters are passed over
		{"", "a\U00010000", "a\ufffd~"}, //
		{"", "日本"[:5], "日~"},            // cut inside a character
		{"", long + "b", long + "a"},    // not longer than a key may be
	} {
		if got := startAfter(c.prefix, c.start); got != c.want {
			t.Errorf("startAfter(%q, %q) = %q, want %q", c.prefix, c.start, got, c.want)
		}
	}
}

// TestStartAfterLosesNothing checks that whatever the start, no key at or behind it may
// be hidden by the start-after that is sent, and what is made up is safe.
func TestStartAfterLosesNothing(t *testing.T) {
	text := rapid.OneOf(
		rapid.StringOfN(rapid.SampledFrom([]rune(" !$%&'+/059AZaz~é本\u00a0\ue000\ufffd🔥")), 0, 6, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 6), func(b []byte) string { return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "a", "a/", "é"}).Draw(t, "prefix")
		start := text.Draw(t, "start")
		if rapid.Bool().Draw(t, "inside") {
			start = prefix + start
		}
		after := startAfter(prefix, start)
		if after == "" {
			return
		}
		if after >= start {
			t.Fatalf("start-after %q hides the start %q", after, start)
		}
		if key := strings.TrimRight(start, "\x00"); key != start {
			return
		}
		made := after[commonLength(after, start):]
		for _, r := range made {
			if r != utf8.RuneError && !safe(r) {
				t.Fatalf("start-after %q for %q holds %q", after, start, r)
			}
		}
	})
}

// commonLength is the length of what two strings begin with, in whole characters.
func commonLength(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	return n
}
