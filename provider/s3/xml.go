package s3

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"firescan/provider"
)

// scanner reads the subset of XML that S3 servers write: elements, attributes,
// character data with the five named and the numeric entities. What it does not know
// (comments, CDATA, directives, prefixed names, mixed content) it refuses rather than
// skips, because what is skipped wrongly could be objects.
//
// It works on the body in place: values are decoded where they stand.
type scanner struct {
	b []byte
	i int
}

// Traits of a run of character data.
const (
	hasEntity  = 1 << iota // '&'
	hasPercent             // '%' or '+': only matters with encoding-type=url
	hasHigh                // beyond ASCII
	hasCR                  // a bare carriage return, which XML would have us alter
	hasBad                 // never allowed, or '>' which needs a closer look
	endOfText              // '<'
)

var traits = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == '<':
			t[c] = endOfText
		case c == '&':
			t[c] = hasEntity
		case c == '%' || c == '+':
			t[c] = hasPercent
		case c >= utf8.RuneSelf:
			t[c] = hasHigh
		case c == '\r':
			t[c] = hasCR
		case c == '>' || c < ' ' && c != '\t' && c != '\n':
			t[c] = hasBad
		}
	}
	return t
}()

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isNameStart(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// names are the bytes that element and attribute names consist of.
var names = func() (t [256]bool) {
	for c := range t {
		t[c] = isNameStart(byte(c)) || c >= '0' && c <= '9' || c == '-' || c == '.'
	}
	return t
}()

// fault returns an error with the position, never the content of the response.
func (s *scanner) fault(what string) error {
	if s.i >= len(s.b) {
		return provider.ErrCutShort
	}
	return fmt.Errorf("the response is not valid XML: %s at byte %d", what, s.i)
}

func (s *scanner) space() {
	for s.i < len(s.b) && isSpace(s.b[s.i]) {
		s.i++
	}
}

// prolog passes the byte order mark, the XML declaration and white space before the
// root element.
func (s *scanner) prolog() error {
	if bytes.HasPrefix(s.b, []byte("\xef\xbb\xbf")) {
		s.i = 3
	}
	s.space()
	const declares = "<?xml"
	if rest := s.b[s.i:]; !bytes.HasPrefix(rest, []byte(declares)) || len(rest) == len(declares) || !isSpace(rest[len(declares)]) {
		return nil
	}
	end := bytes.Index(s.b[s.i:], []byte("?>"))
	if end < 0 {
		return provider.ErrCutShort
	}
	declaration := bytes.ToLower(s.b[s.i : s.i+end])
	if at := bytes.Index(declaration, []byte("encoding")); at >= 0 && !bytes.Contains(declaration[at:], []byte("utf-8")) {
		return s.fault("an encoding other than UTF-8 is declared")
	}
	s.i += end + 2
	s.space()
	return nil
}

// open reads the start tag at the cursor. An empty-element tag sets closed.
func (s *scanner) open() (name []byte, closed bool, err error) {
	b, i := s.b, s.i
	if i >= len(b) || b[i] != '<' {
		return nil, false, s.fault("text where a tag is due")
	}
	i++
	start := i
	if i >= len(b) || !isNameStart(b[i]) {
		return nil, false, s.fault("no element begins")
	}
	for _, c := range b[i:] {
		if !names[c] {
			break
		}
		i++
	}
	name = b[start:i]
	if i < len(b) && b[i] == '>' {
		s.i = i + 1
		return name, false, nil
	}
	s.i = i
	closed, err = s.attributes()
	return name, closed, err
}

// attributes passes the rest of a start tag, from behind its name.
func (s *scanner) attributes() (closed bool, err error) {
	for {
		before := s.i
		s.space()
		if s.i >= len(s.b) {
			return false, provider.ErrCutShort
		}
		switch c := s.b[s.i]; {
		case c == '>':
			s.i++
			return false, nil
		case c == '/':
			s.i++
			if s.i >= len(s.b) || s.b[s.i] != '>' {
				return false, s.fault("a stray '/' in a tag")
			}
			s.i++
			return true, nil
		case before == s.i || !isNameStart(c):
			return false, s.fault("a tag is not well-formed")
		}
		if err := s.attribute(); err != nil {
			return false, err
		}
	}
}

func (s *scanner) attribute() error {
	for colon := false; s.i < len(s.b); s.i++ {
		if c := s.b[s.i]; c == ':' && !colon {
			colon = true
		} else if !names[c] {
			break
		}
	}
	s.space()
	if s.i >= len(s.b) || s.b[s.i] != '=' {
		return s.fault("an attribute has no value")
	}
	s.i++
	s.space()
	if s.i >= len(s.b) || s.b[s.i] != '"' && s.b[s.i] != '\'' {
		return s.fault("an attribute is not quoted")
	}
	end := bytes.IndexByte(s.b[s.i+1:], s.b[s.i])
	if end < 0 {
		return provider.ErrCutShort
	}
	value := s.b[s.i+1 : s.i+1+end]
	var seen uint8
	for _, c := range value {
		seen |= traits[c]
	}
	if seen&(endOfText|hasBad) != 0 {
		return s.fault("a character is not allowed in an attribute")
	}
	if err := s.check(value, seen); err != nil {
		return err
	}
	s.i += end + 2
	return nil
}

// text reads character data up to the next tag and passes the end tag of name, the
// element that it stands in.
func (s *scanner) text(name []byte) (raw []byte, seen uint8, err error) {
	if raw, seen, err = s.run(); err == nil {
		err = s.close(name)
	}
	return raw, seen, err
}

// run reads character data up to the next tag.
func (s *scanner) run() (raw []byte, seen uint8, err error) {
	rest := s.b[s.i:]
	for n, c := range rest {
		t := traits[c]
		if t == 0 {
			continue
		}
		if t == endOfText {
			s.i += n
			return rest[:n], seen, nil
		}
		if t == hasBad {
			if c == '>' && !bytes.HasSuffix(rest[:n], []byte("]]")) {
				continue
			}
			s.i += n
			return nil, 0, s.fault("a character is not allowed")
		}
		seen |= t
	}
	return nil, 0, provider.ErrCutShort
}

// close passes the end tag of name.
func (s *scanner) close(name []byte) error {
	rest := s.b[s.i:]
	n := len(name) + 2
	if len(rest) <= n {
		return provider.ErrCutShort
	}
	if rest[0] != '<' || rest[1] != '/' || string(rest[2:n]) != string(name) {
		return s.fault("an end tag does not fit")
	}
	s.i += n
	if rest[n] != '>' {
		s.space()
		if s.i >= len(s.b) || s.b[s.i] != '>' {
			return s.fault("an end tag is not well-formed")
		}
	}
	s.i++
	return nil
}

// more passes white space and reports whether another child of the element name follows;
// when none does, the element's end tag is passed.
func (s *scanner) more(name []byte) (bool, error) {
	if s.i < len(s.b) && s.b[s.i] != '<' {
		s.space()
	}
	if s.i+1 >= len(s.b) {
		return false, provider.ErrCutShort
	}
	if s.b[s.i] == '<' && s.b[s.i+1] == '/' {
		return false, s.close(name)
	}
	return true, nil
}

// maxDepth bounds the nesting of elements that are skipped.
const maxDepth = 16

// skip passes the content and the end tag of an element whose start tag was read. It
// leaves the body as it is.
func (s *scanner) skip(name []byte, depth int) error {
	if depth > maxDepth {
		return s.fault("elements are nested too deep")
	}
	raw, seen, err := s.run()
	if err != nil {
		return err
	}
	if err := s.check(raw, seen); err != nil {
		return err
	}
	if s.i+1 < len(s.b) && s.b[s.i+1] != '/' && len(bytes.TrimSpace(raw)) > 0 {
		return s.fault("text and elements are mixed")
	}
	for {
		more, err := s.more(name)
		if err != nil || !more {
			return err
		}
		child, closed, err := s.open()
		if err != nil {
			return err
		}
		if closed {
			continue
		}
		if err := s.skip(child, depth+1); err != nil {
			return err
		}
	}
}

// serverError reads an error document, of which the root was read.
func (s *scanner) serverError(root []byte) error {
	found := &serverError{}
	for {
		more, err := s.more(root)
		if err != nil {
			return err
		}
		if !more {
			return found
		}
		name, closed, err := s.open()
		if err != nil {
			return err
		}
		if closed {
			continue
		}
		if string(name) != "Code" {
			if err := s.skip(name, 0); err != nil {
				return err
			}
			continue
		}
		raw, _, err := s.text(name)
		if err != nil {
			return err
		}
		found.code = string(raw)
	}
}
