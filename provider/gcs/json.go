package gcs

import (
	"fmt"
	"unicode/utf8"

	"firescan/provider"
)

// scanner reads JSON as RFC 8259 has it, and nothing more lenient: what is skipped by
// mistake could be objects. It works on the body in place: texts are decoded where they
// stand.
type scanner struct {
	b []byte
	i int
}

// maxDepth bounds how deep values may lie that are skipped.
const maxDepth = 32

// fault returns an error with the position, never the content of the response.
func (s *scanner) fault(what string) error {
	if s.i >= len(s.b) {
		return provider.ErrCutShort
	}
	return fmt.Errorf("%s at byte %d", what, s.i)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\r', '\t':
			s.i++
		default:
			return
		}
	}
}

// peek is the next byte behind white space; 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i >= len(s.b) {
		return 0
	}
	return s.b[s.i]
}

func (s *scanner) expect(c byte, what string) error {
	if s.peek() != c {
		return s.fault(what)
	}
	s.i++
	return nil
}

// object reads an object and calls each with every name; each reads the value. A name is
// only lent.
func (s *scanner) object(each func(name []byte) error) error {
	if err := s.expect('{', "an object is expected"); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		name, err := s.text()
		if err != nil {
			return err
		}
		if err := s.expect(':', "a colon is expected"); err != nil {
			return err
		}
		if err := each(name); err != nil {
			return err
		}
		if s.peek() == '}' {
			s.i++
			return nil
		}
		if err := s.expect(',', "a comma or the end of an object is expected"); err != nil {
			return err
		}
	}
}

// array reads an array and calls each where an element begins; each reads it.
func (s *scanner) array(each func() error) error {
	if err := s.expect('[', "an array is expected"); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		if err := each(); err != nil {
			return err
		}
		if s.peek() == ']' {
			s.i++
			return nil
		}
		if err := s.expect(',', "a comma or the end of an array is expected"); err != nil {
			return err
		}
	}
}

// Traits of the bytes of a text.
const (
	endOfText = 1 << iota
	escape
	control
	high // beyond ASCII
)

var traits = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == '"':
			t[c] = endOfText
		case c == '\\':
			t[c] = escape
		case c < ' ':
			t[c] = control
		case c >= utf8.RuneSelf:
			t[c] = high
		}
	}
	return t
}()

// text reads a string. What it gives is a part of the body and valid UTF-8.
func (s *scanner) text() ([]byte, error) {
	if err := s.expect('"', "a string is expected"); err != nil {
		return nil, err
	}
	start := s.i
	var seen uint8
	for ; s.i < len(s.b); s.i++ {
		t := traits[s.b[s.i]]
		if t == 0 {
			continue
		}
		seen |= t
		switch t {
		case endOfText:
			raw := s.b[start:s.i]
			s.i++
			if seen&high != 0 && !utf8.Valid(raw) {
				return nil, s.fault("a string that is no UTF-8 ends")
			}
			if seen&escape != 0 {
				return s.unescape(raw)
			}
			return raw, nil
		case escape:
			s.i++ // whatever it is, it does not end the string
		case control:
			return nil, s.fault("a string has a control character")
		}
	}
	return nil, provider.ErrCutShort
}

// skip passes any value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return s.fault("a value lies too deep")
	}
	switch c := s.peek(); c {
	case '{':
		return s.object(func([]byte) error { return s.skip(depth + 1) })
	case '[':
		return s.array(func() error { return s.skip(depth + 1) })
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) word(w string) error {
	if len(s.b)-s.i < len(w) {
		s.i = len(s.b)
		return provider.ErrCutShort
	}
	if string(s.b[s.i:s.i+len(w)]) != w {
		return s.fault("a value is expected")
	}
	s.i += len(w)
	return nil
}

// number passes a number, of which nothing that we ask for is one.
func (s *scanner) number() error {
	digits := func() bool {
		from := s.i
		for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
			s.i++
		}
		return s.i > from
	}
	at := func(c ...byte) bool {
		for _, c := range c {
			if s.i < len(s.b) && s.b[s.i] == c {
				s.i++
				return true
			}
		}
		return false
	}
	at('-')
	// A zero in front stands alone.
	if !at('0') && !digits() {
		return s.fault("a value is expected")
	}
	if at('.') && !digits() {
		return s.fault("a digit is expected")
	}
	if at('e', 'E') {
		at('+', '-')
		if !digits() {
			return s.fault("a digit is expected")
		}
	}
	return nil
}
