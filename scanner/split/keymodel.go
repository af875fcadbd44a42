package split

import (
	"strings"
	"unicode/utf8"

	"firescan/keyspace"
)

const (
	// maxDepth bounds the characters of a key that are looked at.
	maxDepth = 256
	// maxFolders bounds the folders with their own charTable.
	maxFolders = 4096
	// minVarying is the number of varying characters from which a folder's own charTable
	// is preferred to that of its level.
	minVarying = 4
)

// A keyModel learns which characters keys have at which place, and from that maps keys to
// numbers: the distance between two keys, and a generated key halfway between them. A
// midpoint in ASCII falls into a gap when ids are hex or base62; a midpoint among the
// observed characters does not.
//
// A place is an offset in a folder. A folder's own characters count when enough of them
// are known; otherwise those of all folders of the same level, so that "a/2024-01" and
// "longer/2023-12" complete one another. Characters are runes, since the order of code
// points is the bytewise order of UTF-8 and a generated key must be valid.
type keyModel struct {
	folders map[string]*charTable
	levels  []*charTable
}

// A place is a position of a character in a key.
type place struct {
	level, offset int
	folder        *charTable // nil when the folder has no table
}

func newKeyModel() *keyModel { return &keyModel{folders: map[string]*charTable{}} }

// walk calls visit with every character of key from byte position from on, its place and
// its byte position, until visit returns false.
func (m *keyModel) walk(key string, from int, visit func(p place, c rune, at int) bool) {
	p := place{folder: m.folders[""]}
	n := 0
	for i, c := range key {
		if n++; n > maxDepth {
			return
		}
		if i >= from && !visit(p, c, i) {
			return
		}
		p = m.next(p, c, key, i)
	}
}

// next returns the place after the character c of key at byte position at.
func (m *keyModel) next(p place, c rune, key string, at int) place {
	if c == '/' {
		return place{level: p.level + 1, folder: m.folders[key[:at+1]]}
	}
	p.offset++
	return p
}

// placeAfter returns the place of the character that would follow prefix.
func (m *keyModel) placeAfter(prefix string) place {
	at := strings.LastIndexByte(prefix, '/') + 1
	return place{strings.Count(prefix, "/"), utf8.RuneCountInString(prefix[at:]), m.folders[prefix[:at]]}
}

// observe learns the characters of a key.
func (m *keyModel) observe(key string) {
	for i := range len(key) {
		if prefix := key[:i]; (i == 0 || key[i-1] == '/') && m.folders[prefix] == nil && len(m.folders) < maxFolders {
			m.folders[strings.Clone(prefix)] = &charTable{}
		}
	}
	m.walk(key, 0, func(p place, c rune, _ int) bool {
		if isUsable(c) {
			m.level(p.level).add(p.offset, c)
			if p.folder != nil {
				p.folder.add(p.offset, c)
			}
		}
		return true
	})
}

// observeGap learns that no key lies between lo and hi: where the two part, the
// characters between theirs are missing. isCut means that lo is a cut and not a key, so
// that its own last character is missing, too.
func (m *keyModel) observeGap(lo, hi string, isCut bool) {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	above := lastChar
	m.walk(hi, cp, func(_ place, c rune, _ int) bool { above = c; return false })
	m.walk(lo, cp, func(p place, c rune, at int) bool {
		from := c + 1
		if isCut && at+utf8.RuneLen(c) == len(lo) {
			from = c
		}
		m.exclude(p, from, above)
		return false
	})
}

// observeEnd learns that no key follows last before end: under every prefix of last that
// keys up to end could share, the greater characters are missing.
func (m *keyModel) observeEnd(last, end string) {
	m.observeGap(last, end, false)
	cp := keyspace.CommonPrefix(last, end)
	m.walk(last, cp, func(p place, c rune, at int) bool {
		if at > cp {
			m.exclude(p, c+1, lastChar)
		}
		return true
	})
}

func (m *keyModel) exclude(p place, from, to rune) {
	m.level(p.level).exclude(p.offset, from, to)
	if p.folder != nil {
		p.folder.exclude(p.offset, from, to)
	}
}

func (m *keyModel) level(n int) *charTable {
	for len(m.levels) <= n {
		m.levels = append(m.levels, &charTable{})
	}
	return m.levels[n]
}

// expected returns the characters to expect at a place, and whether each of them was seen
// there.
func (m *keyModel) expected(p place) (chars []rune, known bool) {
	if t := p.folder; t != nil && len(t.varying) >= minVarying && t.has(p.offset) {
		return t.expected(p.offset)
	}
	if p.level < len(m.levels) && m.levels[p.level].has(p.offset) {
		return m.levels[p.level].expected(p.offset)
	}
	return nil, false
}

// runeStart moves at back to the start of the character around it.
func runeStart(s string, at int) int {
	for at > 0 && at < len(s) && !utf8.RuneStart(s[at]) {
		at--
	}
	return at
}
