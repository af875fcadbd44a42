package split

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"firescan/keyspace"
)

const (
	// maxGenerated bounds a generated key in bytes, below the limits of providers.
	maxGenerated = 900
	// maxScales bounds the depths at which cutAtScales cuts.
	maxScales = 24
)

// fraction maps the part of key after its first from bytes to [0, 1]: a number in mixed
// radix whose digits are the ranks of the characters among those expected in their place.
func (m *keyModel) fraction(key string, from int) float64 {
	v, unit := 0.0, 1.0
	m.walk(key, from, func(p place, c rune, _ int) bool {
		chars, _ := m.expected(p)
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

// size returns the part of the whole key space that the keys with a prefix take.
func (m *keyModel) size(prefix string) float64 {
	size := 1.0
	m.walk(prefix, 0, func(p place, _ rune, _ int) bool {
		if chars, _ := m.expected(p); len(chars) > 1 {
			size /= float64(len(chars))
		}
		return true
	})
	return size
}

// distance returns the part of the whole key space between lo and hi, of which an empty
// hi is the end. It is meaningful only in comparison with other distances.
func (m *keyModel) distance(lo, hi string) float64 {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	top := 1.0
	if hi != "" {
		top = m.fraction(hi, cp)
	}
	return max(0, top-m.fraction(lo, cp)) * m.size(lo[:cp])
}

// between generates a key that lies the given part of the way from lo to hi. It returns
// "" when it finds none strictly between them.
func (m *keyModel) between(lo, hi string, part float64) string {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	bottom, top := m.fraction(lo, cp), 1.0
	if hi != "" {
		top = m.fraction(hi, cp)
	}
	v := bottom + part*(top-bottom)
	// Characters beyond those that separate lo, hi and the key would only make it longer.
	grain := (top - bottom) * min(part, 1-part) / 16
	if !(grain > 0) || !utf8.ValidString(lo[:cp]) {
		return ""
	}
	var key strings.Builder
	key.WriteString(lo[:cp])
	p := m.placeAfter(lo[:cp])
	for unit := 1.0; unit > grain; {
		chars, _ := m.expected(p)
		if len(chars) == 0 {
			break
		}
		digit := min(int(v*float64(len(chars))), len(chars)-1)
		v = v*float64(len(chars)) - float64(digit)
		unit /= float64(len(chars))
		c := chars[digit]
		key.WriteRune(c)
		p = m.next(p, c, key.String(), key.Len()-1)
		if key.Len() > maxGenerated {
			break
		}
	}
	if k := key.String(); k > lo && (hi == "" || k < hi) {
		return k
	}
	return ""
}

// cutAtScales generates at most n keys between lo and hi for a key space of which only
// the neighborhood of lo is known: for each depth at which keys may part from lo, keys
// with a greater character there. So some of the keys cut the range at the right scale,
// however wide it is.
func (m *keyModel) cutAtScales(lo, hi string, deepest, n int) []string {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	if !utf8.ValidString(lo[:cp]) {
		return nil
	}
	var depths [][]string
	m.walk(lo, cp, func(p place, c rune, at int) bool {
		if at > deepest {
			return false
		}
		chars, known := m.expected(p)
		var cuts []string
		for _, next := range chars {
			if next > c {
				cuts = append(cuts, lo[:at]+string(next))
			}
		}
		if !known && len(cuts) == 0 && isUsable(c) {
			cuts = append(cuts, lo[:at]+string(c)+string(lastChar))
		}
		cuts = slices.DeleteFunc(cuts, func(k string) bool { return k <= lo || hi != "" && k >= hi || !utf8.ValidString(k) })
		if len(cuts) > 0 {
			depths = append(depths, cuts)
		}
		return len(depths) < maxScales
	})
	return spread(depths, n)
}

// spread returns n of the keys, as evenly over the depths as their numbers allow, in
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

// isKnown reports whether the characters that decide where a key between lo and hi lies
// are known: those of the first places at which keys there may part.
func (m *keyModel) isKnown(lo, hi string) bool {
	cp := runeStart(lo, keyspace.CommonPrefix(lo, hi))
	below := lastChar
	m.walk(hi, cp, func(_ place, c rune, _ int) bool { below = c; return false })
	choices, isKnown := 1, true
	m.walk(lo, cp, func(p place, c rune, at int) bool {
		chars, known := m.expected(p)
		if at == cp {
			// Only a character between the two can be chosen here.
			from, _ := slices.BinarySearch(chars, c)
			to, _ := slices.BinarySearch(chars, below)
			if to <= from+1 {
				return true
			}
		}
		if !known {
			isKnown = false
			return false
		}
		choices *= max(len(chars), 1)
		return choices < 64
	})
	return isKnown
}
