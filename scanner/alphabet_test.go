package scanner

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"firescan/keyspace"

	"pgregory.net/rapid"
)

// textGen makes keys as buckets have them, unusual characters included.
func textGen() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`(ab|a|b)/[0-9a-f]{2,6}\.(meta|auth)`),
		rapid.StringOfN(rapid.RuneFrom([]rune("az09/-%é日\x01 ")), 1, 8, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 5), func(b []byte) string { return string(b) }),
	)
}

func TestMadeUpKeysLieInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newAlphabet()
		for _, k := range rapid.SliceOfN(textGen(), 1, 20).Draw(t, "seen") {
			a.observe(k)
		}
		lo, hi := textGen().Draw(t, "lo"), rapid.OneOf(textGen(), rapid.Just("")).Draw(t, "hi")
		if hi != "" && lo >= hi {
			t.Skip("no range")
		}
		a.observeGap(lo, hi, rapid.Bool().Draw(t, "open"))
		keys := a.scales(lo, hi, rapid.IntRange(0, 8).Draw(t, "deepest"), 10)
		if k := a.between(lo, hi, rapid.Float64Range(0.01, 0.99).Draw(t, "part")); k != "" {
			keys = append(keys, k)
		}
		if len(keys) > 11 {
			t.Fatalf("%d keys, more than asked for", len(keys))
		}
		for _, k := range keys {
			if k <= lo || hi != "" && k >= hi {
				t.Fatalf("made up %q, not between %q and %q", k, lo, hi)
			}
			if !utf8.ValidString(k) {
				t.Fatalf("made up %q, not valid UTF-8", k)
			}
			// What follows the part that lo gives is ours: no characters that servers stumble over.
			for _, c := range k[keyspace.CommonPrefix(k, lo):] {
				if !usable(c) && !strings.ContainsRune(lo+hi, c) {
					t.Fatalf("made up %q with %q", k, c)
				}
			}
		}
		if d := a.distance(lo, hi); d < 0 || d > 1 {
			t.Fatalf("distance from %q to %q is %v", lo, hi, d)
		}
	})
}

// TestMidpointsFollowTheAlphabet: half of all hex ids lie below "8", wherever "8"
// is among the ASCII characters.
func TestMidpointsFollowTheAlphabet(t *testing.T) {
	a := newAlphabet()
	for i := range 16 {
		a.observe(fmt.Sprintf("id-%x%x", i, 15-i))
	}
	mid := a.between("id-0", "id-g", 0.5)
	if !strings.HasPrefix(mid, "id-8") && !strings.HasPrefix(mid, "id-7f") {
		t.Errorf("halfway between id-0 and id-g lies %q, want about id-8", mid)
	}
	quarter, half := a.distance("id-0", "id-4"), a.distance("id-0", "id-8")
	if r := half / quarter; r < 1.9 || r > 2.1 {
		t.Errorf("id-0 to id-8 is %.2f times as far as to id-4, want 2", r)
	}
}

// TestGapsTeachWhatIsMissing: letters that were seen elsewhere are not expected
// where neighbouring keys leave no room for them.
func TestGapsTeachWhatIsMissing(t *testing.T) {
	a := newAlphabet()
	for _, k := range []string{"xa", "xb", "xc", "xd", "ya", "yd"} {
		a.observe(k)
	}
	p := a.placeOf("")
	if _, sure := a.at(p); sure {
		t.Fatal("nothing is known of a key beginning with a, b, c or d, yet it is held to be")
	}
	a.observeEnd("yd", "")
	a.observeGap("", "xa", true)
	a.observeGap("\x00", "xa", false)
	if chars, sure := a.at(p); !sure {
		t.Errorf("no key lies before x or after y, yet %q are expected", string(chars))
	}
}
