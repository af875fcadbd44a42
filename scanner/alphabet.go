package scanner

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"firescan/keyspace"
)

// alphabet learns which characters keys show at which place, and from that maps
// keys to numbers: how far apart two keys are, and which made-up key lies halfway
// between them. Midpoints in ASCII fall into gaps when ids are hex or base62;
// midpoints in the alphabet that was seen do not.
//
// A place is an offset in a folder. What is known of a folder itself counts when it
// tells enough; else what is known of all folders as deep, so that `a/2024-01` and
// `longer/2023-12` teach one another. Characters are runes, since the order of code
// points is the bytewise order of UTF-8 and a made-up key must be valid.
type alphabet struct {
	folders map[string]*charTable
	levels  []*charTable
}

// place is where a character stands.
type place struct {
	level, offset int
	folder        *charTable // nil when nothing is known of it alone
}

// charTable is what is known of the places in one folder, or in all on one level.
type charTable struct {
	sets []*charSet // by offset
	// varying holds what was seen at places that show more than one character: a
	// place of which little is known may well show these too.
	varying []rune
}

// charSet is what is known of one place: which characters were seen there, and
// which of the others were shown to be missing at least under one prefix.
type charSet struct {
	seen, absent []rune // sorted
	likely       []rune // seen, and of varying what is not absent; made when first needed
}

const (
	// maxChars bounds a set; ids in scripts with more characters are cut coarsely.
	maxChars = 256
	// maxDepth bounds how many characters of a key are looked at.
	maxDepth = 256
	// maxMadeUp bounds a made-up key in bytes, below what providers take.
	maxMadeUp = 900
	// maxFolders bounds the folders that are known by themselves.
	maxFolders = 4096
	// telling is how many varying characters make a folder known by itself.
	telling = 4
	// lastChar sorts behind what keys hold: the last private character that is
	// no noncharacter and not rewritten by servers.
	lastChar = '\U0010FFFD'
)

func newAlphabet() *alphabet { return &alphabet{folders: map[string]*charTable{}} }

// walk calls see with every character of key from byte position from on, its
// place, and its byte position, until see answers false.
func (a *alphabet) walk(key string, from int, see func(p place, c rune, at int) bool) {
	p := place{folder: a.folders[""]}
	n := 0
	for i, c := range key {
		if n++; n > maxDepth {
			return
		}
		if i >= from && !see(p, c, i) {
			return
		}
		p = a.behind(p, c, key, i)
	}
}

// behind is the place behind the character c of key at byte position at.
func (a *alphabet) behind(p place, c rune, key string, at int) place {
	if c == '/' {
		return place{level: p.level + 1, folder: a.folders[key[:at+1]]}
	}
	p.offset++
	return p
}

// observe learns which characters a key shows.
func (a *alphabet) observe(key string) {
	for i := range len(key) {
		if prefix := key[:i]; (i == 0 || key[i-1] == '/') && a.folders[prefix] == nil && len(a.folders) < maxFolders {
			a.folders[strings.Clone(prefix)] = &charTable{}
		}
	}
	a.walk(key, 0, func(p place, c rune, _ int) bool {
		if usable(c) {
			a.level(p.level).show(p.offset, c)
			if p.folder != nil {
				p.folder.show(p.offset, c)
			}
		}
		return true
	})
}

// observeGap learns that no key lies between lo and hi: where the two part, the
// characters between theirs are missing. open tells that lo is no key itself but
// a cut, so that its own last character is missing too.
func (a *alphabet) observeGap(lo, hi string, open bool) {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	above := lastChar
	a.walk(hi, cp, func(_ place, c rune, _ int) bool { above = c; return false })
	a.walk(lo, cp, func(p place, c rune, at int) bool {
		from := c + 1
		if open && at+utf8.RuneLen(c) == len(lo) {
			from = c
		}
		a.miss(p, from, above)
		return false
	})
}

// observeEnd learns that no key follows last before end: under every prefix of
// last that keys up to end could share, the greater characters are missing.
func (a *alphabet) observeEnd(last, end string) {
	a.observeGap(last, end, false)
	cp := keyspace.CommonPrefix(last, end)
	a.walk(last, cp, func(p place, c rune, at int) bool {
		if at > cp {
			a.miss(p, c+1, lastChar)
		}
		return true
	})
}

// miss notes the varying characters in [from, to) as missing at a place.
func (a *alphabet) miss(p place, from, to rune) {
	a.level(p.level).miss(p.offset, from, to)
	if p.folder != nil {
		p.folder.miss(p.offset, from, to)
	}
}

func (a *alphabet) level(n int) *charTable {
	for len(a.levels) <= n {
		a.levels = append(a.levels, &charTable{})
	}
	return a.levels[n]
}

func (t *charTable) at(offset int) *charSet {
	for len(t.sets) <= offset {
		t.sets = append(t.sets, &charSet{})
	}
	return t.sets[offset]
}

func (t *charTable) show(offset int, c rune) {
	set := t.at(offset)
	if !insert(&set.seen, c) {
		return
	}
	set.likely = nil
	if len(set.seen) == 2 {
		t.vary(set.seen[0])
		t.vary(set.seen[1])
	} else if len(set.seen) > 2 {
		t.vary(c)
	}
}

func (t *charTable) miss(offset int, from, to rune) {
	set := t.at(offset)
	for _, c := range t.varying {
		if c >= from && c < to && insert(&set.absent, c) {
			set.likely = nil
		}
	}
}

func (t *charTable) vary(c rune) {
	if c != '/' && insert(&t.varying, c) {
		for _, set := range t.sets {
			set.likely = nil
		}
	}
}

// insert adds c to a sorted set and tells whether it was new.
func insert(set *[]rune, c rune) bool {
	at, known := slices.BinarySearch(*set, c)
	if known || len(*set) >= maxChars {
		return false
	}
	*set = slices.Insert(*set, at, c)
	return true
}

// usable tells whether a made-up key may hold c: servers were seen to stumble over
// control characters, noncharacters and '%' in start-after.
func usable(c rune) bool {
	return c >= ' ' && c != '%' && c != 0x7f && c != utf8.RuneError && c&0xfffe != 0xfffe && (c < 0x80 || c > 0x9f)
}

// at answers the characters to expect at a place, and whether each was seen there.
func (a *alphabet) at(p place) (chars []rune, sure bool) {
	t := p.folder
	if t == nil || len(t.varying) < telling || p.offset >= len(t.sets) || len(t.sets[p.offset].seen) == 0 {
		if p.level >= len(a.levels) {
			return nil, false
		}
		t = a.levels[p.level]
	}
	if p.offset >= len(t.sets) || len(t.sets[p.offset].seen) == 0 {
		return nil, false
	}
	set := t.sets[p.offset]
	if set.likely == nil {
		set.likely = slices.Clone(set.seen)
		for _, c := range t.varying {
			if _, gone := slices.BinarySearch(set.absent, c); !gone {
				insert(&set.likely, c)
			}
		}
	}
	return set.likely, len(set.likely) == len(set.seen)
}

// fraction maps what follows the first from bytes of key to [0, 1]: a number in
// mixed radix whose digits are the ranks of the characters in their places.
func (a *alphabet) fraction(key string, from int) float64 {
	v, unit := 0.0, 1.0
	a.walk(key, from, func(p place, c rune, _ int) bool {
		chars, _ := a.at(p)
		if len(chars) == 0 {
			return false
		}
		unit /= float64(len(chars))
		rank, expected := slices.BinarySearch(chars, c)
		v += float64(rank) * unit
		return expected && unit > 1e-15
	})
	return v
}

// unit is how much of the whole key space the keys with this prefix take.
func (a *alphabet) unit(prefix string) float64 {
	u := 1.0
	a.walk(prefix, 0, func(p place, _ rune, _ int) bool {
		if chars, _ := a.at(p); len(chars) > 1 {
			u /= float64(len(chars))
		}
		return true
	})
	return u
}

// distance is the part of the whole key space between lo and hi (empty: its end),
// as far as the alphabet tells. It means something only against other distances.
func (a *alphabet) distance(lo, hi string) float64 {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	top := 1.0
	if hi != "" {
		top = a.fraction(hi, cp)
	}
	return max(0, top-a.fraction(lo, cp)) * a.unit(lo[:cp])
}

// between makes up a key that lies the given part of the way from lo to hi. The
// answer is empty when there is none to be found strictly between.
func (a *alphabet) between(lo, hi string, part float64) string {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	bottom, top := a.fraction(lo, cp), 1.0
	if hi != "" {
		top = a.fraction(hi, cp)
	}
	v := bottom + part*(top-bottom)
	// One more character than tells lo, hi and the key apart would only make it longer.
	grain := (top - bottom) * min(part, 1-part) / 16
	if !(grain > 0) || !utf8.ValidString(lo[:cp]) {
		return ""
	}
	var key strings.Builder
	key.WriteString(lo[:cp])
	p := a.placeOf(lo[:cp])
	for unit := 1.0; unit > grain; {
		chars, _ := a.at(p)
		if len(chars) == 0 {
			break
		}
		digit := min(int(v*float64(len(chars))), len(chars)-1)
		v = v*float64(len(chars)) - float64(digit)
		unit /= float64(len(chars))
		c := chars[digit]
		key.WriteRune(c)
		p = a.behind(p, c, key.String(), key.Len()-1)
		if key.Len() > maxMadeUp {
			break
		}
	}
	if k := key.String(); k > lo && (hi == "" || k < hi) {
		return k
	}
	return ""
}

// scales makes up at most n keys between lo and hi for a key space of which only
// the neighbourhood of lo is known: at every depth at which keys may part from lo,
// those with a greater character there. So whatever the true width of the range
// is, some of the keys cut it at that scale.
func (a *alphabet) scales(lo, hi string, deepest, n int) []string {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	if !utf8.ValidString(lo[:cp]) {
		return nil
	}
	var depths [][]string
	a.walk(lo, cp, func(p place, c rune, at int) bool {
		if at > deepest {
			return false
		}
		chars, known := a.at(p)
		var cuts []string
		for _, next := range chars {
			if next > c {
				cuts = append(cuts, lo[:at]+string(next))
			}
		}
		if !known && len(cuts) == 0 && usable(c) {
			cuts = append(cuts, lo[:at]+string(c)+string(lastChar))
		}
		cuts = slices.DeleteFunc(cuts, func(k string) bool { return k <= lo || hi != "" && k >= hi || !utf8.ValidString(k) })
		if len(cuts) > 0 {
			depths = append(depths, cuts)
		}
		return len(depths) < 24
	})
	return spread(depths, n)
}

// spread takes n of the keys, as evenly over the depths as their numbers allow, in
// ascending order and each once.
func spread(depths [][]string, n int) []string {
	slices.SortStableFunc(depths, func(a, b []string) int { return len(a) - len(b) })
	var out []string
	for i, cuts := range depths {
		share := min(len(cuts), int(math.Ceil(float64(n-len(out))/float64(len(depths)-i))))
		for j := range share {
			out = append(out, cuts[j*len(cuts)/share])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// placeOf is the place of the character that would follow prefix.
func (a *alphabet) placeOf(prefix string) place {
	at := strings.LastIndexByte(prefix, '/') + 1
	return place{strings.Count(prefix, "/"), utf8.RuneCountInString(prefix[at:]), a.folders[prefix[:at]]}
}

// runeStart moves at back to where the character around it begins.
func runeStart(s string, at int) int {
	for at > 0 && at < len(s) && !utf8.RuneStart(s[at]) {
		at--
	}
	return at
}

// sure tells whether the characters that decide where a key between lo and hi lies
// are well known: those of the first places at which keys there may part.
func (a *alphabet) sure(lo, hi string) bool {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	below := lastChar
	a.walk(hi, cp, func(_ place, c rune, _ int) bool { below = c; return false })
	choices, sure := 1, true
	a.walk(lo, cp, func(p place, c rune, at int) bool {
		chars, known := a.at(p)
		if at == cp {
			// Only what lies between the two can be chosen here.
			from, _ := slices.BinarySearch(chars, c)
			to, _ := slices.BinarySearch(chars, below)
			if to <= from+1 {
				return true
			}
		}
		if !known {
			sure = false
			return false
		}
		choices *= max(len(chars), 1)
		return choices < 64
	})
	return sure
}
