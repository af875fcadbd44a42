package s3

import (
	"strings"
	"unicode/utf8"
)

// maxKey is the longest key that S3 takes.
const maxKey = 1024

// startAfter is the start-after with which a list has every key k >= start that begins
// with prefix, and few others; "" is none.
//
// A start of the form After(key) is exact. For any other, S3 has no inclusive
// form, so a predecessor of start is made up and the keys between the two are dropped
// when the page is read. What is made up holds no control character, no noncharacter
// and neither '%' nor '+': there are servers that refuse, alter or decode those a second
// time.
func startAfter(prefix, start string) string {
	if start <= prefix {
		return ""
	}
	if key := strings.TrimRight(start, "\x00"); key != start {
		if key <= prefix {
			return ""
		}
		return key
	}
	known := prefix
	if !strings.HasPrefix(start, prefix) {
		known = "" // behind every key of the prefix, or the caller's slip: still right
	}
	made := predecessor(start)
	if len(made) < len(known) || made <= prefix {
		return ""
	}
	return made
}

// predecessor makes up a string a little less than s.
func predecessor(s string) string {
	r, n := utf8.DecodeLastRuneInString(s)
	base := s[:len(s)-n]
	if r == utf8.RuneError && n == 1 {
		// A cut inside a character: all of its bytes are beyond '~'.
		for base != "" && !utf8.ValidString(base) {
			base = base[:len(base)-1]
		}
		return cutLong(base+"~", base)
	}
	for r--; r >= ' '; r-- {
		if safe(r) {
			return cutLong(base+string(r)+"~", base+string(r))
		}
	}
	return base
}

// cutLong prefers long while it is not too long for a key.
func cutLong(long, short string) string {
	if len(long) > maxKey {
		return short
	}
	return long
}

// safe reports whether r may stand in a made-up key.
func safe(r rune) bool {
	switch {
	case r < ' ', r == '%', r == '+', r >= 0x7f && r < 0xa0:
		return false
	case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
		return false
	}
	return utf8.ValidRune(r)
}
