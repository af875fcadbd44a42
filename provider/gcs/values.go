package gcs

import (
	"errors"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"firescan/provider"
)

var (
	errNumber = errors.New("a size or generation is no number")
	errTime   = errors.New("a modification time is not understood")
)

// unescape undoes the escapes of a string in place. No escape is shorter than what it
// stands for, so writing never overtakes reading.
func (s *scanner) unescape(raw []byte) ([]byte, error) {
	out := raw[:0]
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			i++
			continue
		}
		// A string never ends in a backslash that stands alone.
		if raw[i+1] == 'u' {
			r, n := escaped(raw[i:])
			if n == 0 {
				return nil, s.fault("a string that has a wrong escape ends")
			}
			out = utf8.AppendRune(out, r)
			i += n
			continue
		}
		c = escapes[raw[i+1]]
		if c == 0 {
			return nil, s.fault("a string that has a wrong escape ends")
		}
		out = append(out, c)
		i += 2
	}
	return out, nil
}

// escapes are the characters that stand behind a backslash, and what they mean.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped is the character that text, which begins with \u, stands for, and the length
// of its escape; 0 when it is none. Half a surrogate pair is no character, and encoders
// that write one have lost something before.
func escaped(text []byte) (rune, int) {
	r, ok := unit(text)
	if !ok || !utf16.IsSurrogate(r) {
		if !ok {
			return 0, 0
		}
		return r, 6
	}
	low, ok := unit(text[6:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// unit reads one \uXXXX.
func unit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range text[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number reads a count in decimal.
func number(text []byte) (int64, error) {
	if n, ok := provider.Decimal(text); ok {
		return n, nil
	}
	return 0, errNumber
}

// modTime reads an RFC 3339 time as Unix milliseconds.
func modTime(text []byte) (int64, error) {
	var t time.Time
	if t.UnmarshalText(text) != nil {
		return 0, errTime
	}
	return t.UnixMilli(), nil
}
