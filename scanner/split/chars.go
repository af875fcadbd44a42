package split

import (
	"slices"
	"unicode/utf8"
)

const (
	// maxChars bounds a set; ids in scripts with more characters are cut coarsely.
	maxChars = 256
	// lastChar sorts after the characters that keys hold: the last private character that
	// is no noncharacter and that servers do not rewrite.
	lastChar = '\U0010FFFD'
)

// A charTable holds the characters at each offset of the names in one folder, or in all
// folders of one level.
type charTable struct {
	sets []*charSet // by offset
	// varying holds the characters of all offsets that show more than one. They are
	// expected at an offset of which little is known.
	varying []rune
}

// A charSet holds the characters at one offset: those seen there, and those proved to be
// missing under at least one prefix.
type charSet struct {
	seen, absent []rune // sorted
	expected     []rune // seen, and of varying those not absent; computed when first needed
}

func (t *charTable) at(offset int) *charSet {
	for len(t.sets) <= offset {
		t.sets = append(t.sets, &charSet{})
	}
	return t.sets[offset]
}

// has reports whether a character was seen at offset.
func (t *charTable) has(offset int) bool {
	return offset < len(t.sets) && len(t.sets[offset].seen) > 0
}

// add records that c was seen at offset.
func (t *charTable) add(offset int, c rune) {
	set := t.at(offset)
	if !insert(&set.seen, c) {
		return
	}
	set.expected = nil
	if len(set.seen) == 2 {
		t.addVarying(set.seen[0])
		t.addVarying(set.seen[1])
	} else if len(set.seen) > 2 {
		t.addVarying(c)
	}
}

// exclude records that the varying characters in [from, to) are missing at offset.
func (t *charTable) exclude(offset int, from, to rune) {
	set := t.at(offset)
	for _, c := range t.varying {
		if c >= from && c < to && insert(&set.absent, c) {
			set.expected = nil
		}
	}
}

func (t *charTable) addVarying(c rune) {
	if c != '/' && insert(&t.varying, c) {
		for _, set := range t.sets {
			set.expected = nil
		}
	}
}

// expected returns the characters to expect at an offset that has some, and whether each
// of them was seen there.
func (t *charTable) expected(offset int) (chars []rune, known bool) {
	set := t.sets[offset]
	if set.expected == nil {
		set.expected = slices.Clone(set.seen)
		for _, c := range t.varying {
			if _, absent := slices.BinarySearch(set.absent, c); !absent {
				insert(&set.expected, c)
			}
		}
	}
	return set.expected, len(set.expected) == len(set.seen)
}

// insert adds c to a sorted set and reports whether it was new.
func insert(set *[]rune, c rune) bool {
	at, has := slices.BinarySearch(*set, c)
	if has || len(*set) >= maxChars {
		return false
	}
	*set = slices.Insert(*set, at, c)
	return true
}

// isUsable reports whether a generated key may contain c: some servers mishandle control
// characters, noncharacters and '%' in start-after.
func isUsable(c rune) bool {
	return c >= ' ' && c != '%' && c != 0x7f && c != utf8.RuneError && c&0xfffe != 0xfffe && (c < 0x80 || c > 0x9f)
}
