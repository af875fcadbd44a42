package split

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"firescan/keyspace"

	"pgregory.net/rapid"
)

// textGen generates keys as in buckets, including unusual characters.
func textGen() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`(ab|a|b)/[0-9a-f]{2,6}\.(meta|auth)`),
		rapid.StringOfN(rapid.RuneFrom([]rune("az09/-%é日\x01 ")), 1, 8, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 5), func(b []byte) string { return string(b) }),
	)
}

func TestGeneratedKeysLieInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newKeyModel()
		for _, k := range rapid.SliceOfN(textGen(), 1, 20).Draw(t, "seen") {
			m.observe(k)
		}
		lo, hi := textGen().Draw(t, "lo"), rapid.OneOf(textGen(), rapid.Just("")).Draw(t, "hi")
		if hi != "" && lo >= hi {
			t.Skip("no range")
		}
		m.observeGap(lo, hi, rapid.Bool().Draw(t, "isCut"))
		keys := m.cutAtScales(lo, hi, rapid.IntRange(0, 8).Draw(t, "deepest"), 10)
		if k := m.between(lo, hi, rapid.Float64Range(0.01, 0.99).Draw(t, "part")); k != "" {
			keys = append(keys, k)
		}
		if len(keys) > 11 {
			t.Fatalf("%d keys, more than asked for", len(keys))
		}
		for _, k := range keys {
			if k <= lo || hi != "" && k >= hi {
				t.Fatalf("generated %q, not between %q and %q", k, lo, hi)
			}
			if !utf8.ValidString(k) {
				t.Fatalf("generated %q, not valid UTF-8", k)
			}
			// After the part that is copied from lo, all characters must be safe for servers.
			for _, c := range k[keyspace.CommonPrefix(k, lo):] {
				if !isUsable(c) && !strings.ContainsRune(lo+hi, c) {
					t.Fatalf("generated %q with %q", k, c)
				}
			}
		}
		if d := m.distance(lo, hi); d < 0 || d > 1 {
			t.Fatalf("distance from %q to %q is %v", lo, hi, d)
		}
	})
}

// TestMidpointsFollowObservedCharacters: half of all hex ids lie below "8", wherever "8"
// is among the ASCII characters.
func TestMidpointsFollowObservedCharacters(t *testing.T) {
	m := newKeyModel()
	for i := range 16 {
		m.observe(fmt.Sprintf("id-%x%x", i, 15-i))
	}
	mid := m.between("id-0", "id-g", 0.5)
	if !strings.HasPrefix(mid, "id-8") && !strings.HasPrefix(mid, "id-7f") {
		t.Errorf("the key halfway between id-0 and id-g is %q, want about id-8", mid)
	}
	quarter, half := m.distance("id-0", "id-4"), m.distance("id-0", "id-8")
	if r := half / quarter; r < 1.9 || r > 2.1 {
		t.Errorf("the distance from id-0 to id-8 is %.2f times that to id-4, want 2", r)
	}
}

// TestGapsExcludeCharacters: characters that were seen elsewhere are not expected where
// neighboring keys leave no room for them.
func TestGapsExcludeCharacters(t *testing.T) {
	m := newKeyModel()
	for _, k := range []string{"xa", "xb", "xc", "xd", "ya", "yd"} {
		m.observe(k)
	}
	p := m.placeAfter("")
	if _, known := m.expected(p); known {
		t.Fatal("no key that begins with a, b, c or d was observed, yet the characters count as known")
	}
	m.observeEnd("yd", "")
	m.observeGap("", "xa", true)
	m.observeGap("\x00", "xa", false)
	if chars, known := m.expected(p); !known {
		t.Errorf("no key lies before x or after y, yet %q is expected", string(chars))
	}
}
