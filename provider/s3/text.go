package s3

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// plain is the value of character data that was seen to have these traits. It is
// decoded in place.
func (s *scanner) plain(raw []byte, seen uint8) ([]byte, error) {
	if seen&(hasHigh|hasEntity) == 0 {
		return raw, nil
	}
	if err := s.check(raw, seen); err != nil || seen&hasEntity == 0 {
		return raw, err
	}
	return unescape(raw), nil
}

// check reports whether character data that was seen to have these traits is well-formed.
func (s *scanner) check(raw []byte, seen uint8) error {
	if seen&hasHigh != 0 && !allowed(raw) {
		return s.fault("a character is not allowed before this place")
	}
	if seen&hasEntity == 0 {
		return nil
	}
	for {
		at := bytes.IndexByte(raw, '&')
		if at < 0 {
			return nil
		}
		_, n := entity(raw[at:])
		if n == 0 {
			return s.fault("an entity is not known before this place")
		}
		raw = raw[at+n:]
	}
}

// allowed reports whether text is UTF-8 and free of the two code points beyond ASCII that
// XML forbids.
func allowed(text []byte) bool {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
			return false
		}
		i += n
	}
	return true
}

// unescape replaces the entities in text, which are known to be good, in place. No
// entity is shorter than what it stands for, so writing never overtakes reading.
func unescape(text []byte) []byte {
	out := text[:0]
	for i := 0; i < len(text); {
		if text[i] != '&' {
			out = append(out, text[i])
			i++
			continue
		}
		r, n := entity(text[i:])
		out = utf8.AppendRune(out, r)
		i += max(n, 1)
	}
	return out
}

// entity reads the entity that text begins with, and returns its length; 0 if it is none.
func entity(text []byte) (rune, int) {
	end := bytes.IndexByte(text[:min(len(text), 16)], ';')
	if end < 0 {
		return 0, 0
	}
	n := end + 1
	switch name := string(text[1:end]); name {
	case "amp":
		return '&', n
	case "lt":
		return '<', n
	case "gt":
		return '>', n
	case "quot":
		return '"', n
	case "apos":
		return '\'', n
	default:
		digits, base := name, 10
		switch {
		case strings.HasPrefix(digits, "#x"):
			digits, base = digits[2:], 16
		case strings.HasPrefix(digits, "#"):
			digits = digits[1:]
		default:
			return 0, 0
		}
		// S3 writes control characters as entities that XML itself forbids; they are
		// parts of keys all the same. A zero byte is in no key.
		value, err := strconv.ParseUint(digits, base, 32)
		if err != nil || value == 0 || value > utf8.MaxRune || !utf8.ValidRune(rune(value)) {
			return 0, 0
		}
		return rune(value), n
	}
}
