package s3

import (
	"bytes"
	"errors"
	"strings"

	"firescan/provider"
)

// window is what of a page the caller asked for.
type window struct {
	prefix, start, end, delimiter string
	// after is the start-after that was sent: the server must answer greater keys.
	after string
}

// outcome is what a page tells beyond its objects.
type outcome struct {
	// truncated: the server has more.
	truncated bool
	// token continues the list on the server's side; set when truncated.
	token string
	// ended: the page reached the end of the window.
	ended bool
	// last is the greatest key or folded prefix of the page, inside the window or not.
	last string
	// folded: last is a folded prefix.
	folded bool
}

// serverError is an <Error> document in place of a page, under status 200.
type serverError struct{ code string }

func (e *serverError) Error() string { return "the answer is an error: " + e.code }

var (
	errEmpty     = errors.New("the answer is empty")
	errOrder     = errors.New("keys are not in ascending order")
	errOutside   = errors.New("a key lies outside of what was asked for")
	errMissing   = errors.New("an element that every page has is missing")
	errTwice     = errors.New("an element stands twice")
	errCount     = errors.New("the number of keys is not the one that is told")
	errToken     = errors.New("more keys are told of, but no token")
	errNoMore    = errors.New("more keys are told of, but none is on the page")
	errEncoding  = errors.New("the key encoding is not known")
	errControl   = errors.New("a key holds a bare carriage return")
	errTrailing  = errors.New("something follows the end of the answer")
	errUnclear   = errors.New("a truth value is neither true nor false")
	errNotAPage  = errors.New("the answer is no list of objects")
	errNoKey     = errors.New("an object has no key")
	errNoSize    = errors.New("an object has no size")
	errUnfolded  = errors.New("a folded prefix was not asked for")
	errBadFolded = errors.New("a folded prefix does not end in the delimiter")
)

// decoder turns one ListObjectsV2 answer into a page.
type decoder struct {
	scanner
	window
	page *provider.Page
	out  outcome

	url, encodingKnown bool
	hasTruncated       bool
	count              int64 // KeyCount; -1 while not told
	objects, prefixes  int64 // seen, dropped ones included
	lastKey            []byte
	lastPrefix         string
}

// decode reads body into page, which it empties first. The body is used as scratch
// space. Whatever it does not fully understand is an error; page is undefined then.
func decode(body []byte, w window, page *provider.Page) (outcome, error) {
	page.Reset()
	d := decoder{scanner: scanner{b: body}, window: w, page: page, count: -1}
	if err := d.document(); err != nil {
		return outcome{}, err
	}
	return d.out, d.finish()
}

func (d *decoder) document() error {
	if err := d.prolog(); err != nil {
		return err
	}
	if d.i >= len(d.b) {
		return errEmpty
	}
	root, closed, err := d.open()
	switch {
	case err != nil:
		return err
	case string(root) == "Error" && !closed:
		return d.serverError(root)
	case string(root) != "ListBucketResult" || closed:
		return errNotAPage
	}
	for {
		more, err := d.more(root)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		name, closed, err := d.open()
		if err != nil {
			return err
		}
		if err := d.child(name, closed); err != nil {
			return err
		}
	}
	if d.space(); d.i < len(d.b) {
		return errTrailing
	}
	return nil
}

// child reads one child of the root whose start tag was read.
func (d *decoder) child(name []byte, closed bool) error {
	switch string(name) {
	case "Contents":
		if closed {
			return errNoKey
		}
		return d.object(name)
	case "CommonPrefixes":
		if closed {
			return nil
		}
		return d.commonPrefixes(name)
	case "IsTruncated", "NextContinuationToken", "KeyCount", "EncodingType":
		if closed {
			return nil
		}
		raw, seen, err := d.text(name)
		if err != nil {
			return err
		}
		value, err := d.plain(raw, seen)
		if err != nil {
			return err
		}
		return d.property(string(name), string(value))
	}
	if closed {
		return nil
	}
	return d.skip(name, 0)
}

func (d *decoder) property(name, value string) (err error) {
	switch name {
	case "IsTruncated":
		if d.hasTruncated {
			return errTwice
		}
		d.hasTruncated = true
		if value != "true" && value != "false" {
			return errUnclear
		}
		d.out.truncated = value == "true"
	case "NextContinuationToken":
		if d.out.token != "" {
			return errTwice
		}
		d.out.token = value
	case "KeyCount":
		if d.count >= 0 {
			return errTwice
		}
		d.count, err = number([]byte(value))
	case "EncodingType":
		return d.encoding(value)
	}
	return err
}

// encoding takes note of how the page's keys are written. A key that was read before
// must have been read in the same way.
func (d *decoder) encoding(value string) error {
	url := value == "url"
	if !url && value != "" {
		return errEncoding
	}
	if d.encodingKnown && d.url != url {
		return errTwice
	}
	d.url, d.encodingKnown = url, true
	return nil
}

// settleEncoding looks ahead for an EncodingType that stands behind the first key, as
// some servers have it. Servers that ignore encoding-type=url write none at all.
func (d *decoder) settleEncoding(parent []byte) error {
	ahead := d.scanner
	for _, name := range [][]byte{parent, []byte("ListBucketResult")} {
		for {
			more, err := ahead.more(name)
			if err != nil {
				return err
			}
			if !more {
				break
			}
			child, closed, err := ahead.open()
			if err != nil {
				return err
			}
			if closed {
				continue
			}
			if string(child) != "EncodingType" {
				if err := ahead.skip(child, 0); err != nil {
					return err
				}
				continue
			}
			raw, _, err := ahead.text(child)
			if err != nil {
				return err
			}
			return d.encoding(string(raw))
		}
	}
	return d.encoding("")
}

// object reads one Contents element.
func (d *decoder) object(parent []byte) error {
	if !d.encodingKnown {
		if err := d.settleEncoding(parent); err != nil {
			return err
		}
	}
	var (
		key, tag         []byte
		size, modified   int64 = -1, 0
		hasKey, hasTag   bool
		hasTime, isAbove bool
	)
	for {
		more, err := d.more(parent)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		name, closed, err := d.open()
		if err != nil {
			return err
		}
		if closed {
			continue // <Owner/> and the like; a key or size that is empty is missed below
		}
		var twice bool
		switch string(name) {
		case "Key":
			twice, hasKey = hasKey, true
			key, err = d.key(name)
		case "Size":
			twice = size >= 0
			size, err = d.size(name)
		case "LastModified":
			twice, hasTime = hasTime, true
			modified, err = d.time(name)
		case "ETag":
			twice, hasTag = hasTag, true
			tag, err = d.tag(name)
		default:
			err = d.skip(name, 0)
		}
		switch {
		case err != nil:
			return err
		case twice:
			return errTwice
		}
	}
	switch {
	case len(key) == 0:
		return errNoKey
	case size < 0:
		return errNoSize
	}
	isAbove, err := d.admit(key)
	if err != nil || !isAbove {
		return err
	}
	if size == 0 && key[len(key)-1] == '/' {
		d.page.Skipped++
		return nil
	}
	d.page.Add(key, tag, size, modified)
	return nil
}

// admit checks a key's place and tells whether it lies in the window.
func (d *decoder) admit(key []byte) (bool, error) {
	switch {
	case d.objects > 0 && bytes.Compare(key, d.lastKey) <= 0:
		return false, errOrder
	case len(key) < len(d.prefix) || string(key[:len(d.prefix)]) != d.prefix || string(key) <= d.after && d.after != "":
		return false, errOutside
	}
	d.objects++
	d.lastKey = key
	if d.end != "" && string(key) >= d.end {
		d.out.ended = true
		return false, nil
	}
	return string(key) >= d.start, nil
}

// commonPrefixes reads one CommonPrefixes element. Most servers write one for each
// prefix, but several in one are allowed.
func (d *decoder) commonPrefixes(parent []byte) error {
	if d.delimiter == "" {
		return errUnfolded
	}
	if !d.encodingKnown {
		if err := d.settleEncoding(parent); err != nil {
			return err
		}
	}
	for {
		more, err := d.more(parent)
		if err != nil || !more {
			return err
		}
		name, closed, err := d.open()
		switch {
		case err != nil:
			return err
		case closed:
			continue
		case string(name) != "Prefix":
			if err := d.skip(name, 0); err != nil {
				return err
			}
			continue
		}
		folded, err := d.key(name)
		if err != nil {
			return err
		}
		if err := d.fold(string(folded)); err != nil {
			return err
		}
	}
}

func (d *decoder) fold(folded string) error {
	switch {
	case d.prefixes > 0 && folded <= d.lastPrefix:
		return errOrder
	case len(folded) <= len(d.prefix) || !strings.HasPrefix(folded, d.prefix):
		return errOutside
	case !strings.HasSuffix(folded, d.delimiter):
		return errBadFolded
	}
	behind := provider.PrefixEnd(folded)
	if d.after != "" && behind != "" && behind <= d.after {
		return errOutside
	}
	d.prefixes++
	d.lastPrefix = folded
	switch {
	case d.end != "" && folded >= d.end:
		d.out.ended = true
	case behind == "" || behind > d.start:
		d.page.Prefixes = append(d.page.Prefixes, folded)
	}
	return nil
}

// finish checks the page as a whole, after the last byte.
func (d *decoder) finish() error {
	switch {
	case !d.hasTruncated:
		return errMissing
	case d.count >= 0 && d.count != d.objects && d.count != d.objects+d.prefixes:
		return errCount
	case d.out.truncated && d.out.token == "":
		return errToken
	case d.out.truncated && d.objects+d.prefixes == 0:
		return errNoMore
	}
	d.out.last = string(d.lastKey)
	if d.prefixes > 0 && d.lastPrefix > d.out.last {
		d.out.last, d.out.folded = d.lastPrefix, true
	}
	return nil
}

func (d *decoder) key(name []byte) ([]byte, error) {
	raw, seen, err := d.text(name)
	if err != nil {
		return nil, err
	}
	if seen == 0 {
		return raw, nil
	}
	if seen&hasCR != 0 {
		return nil, errControl
	}
	key, err := d.plain(raw, seen)
	if err == nil && d.url && seen&(hasPercent|hasEntity) != 0 {
		key, err = unquote(key)
	}
	return key, err
}

func (d *decoder) size(name []byte) (int64, error) {
	raw, _, err := d.text(name)
	if err != nil {
		return 0, err
	}
	return number(raw)
}

func (d *decoder) time(name []byte) (int64, error) {
	raw, _, err := d.text(name)
	if err != nil {
		return 0, err
	}
	return modTime(raw)
}

const quote = "&quot;"

// tag is an ETag without the quotes that S3 puts around it.
func (d *decoder) tag(name []byte) ([]byte, error) {
	raw, seen, err := d.text(name)
	if err != nil {
		return nil, err
	}
	// The way that Amazon writes it needs no decoding.
	if n := len(raw) - len(quote); n >= len(quote) && string(raw[:len(quote)]) == quote && string(raw[n:]) == quote {
		if inner := raw[len(quote):n]; seen == hasEntity && bytes.IndexByte(inner, '&') < 0 {
			return inner, nil
		}
	}
	tag, err := d.plain(raw, seen)
	if n := len(tag); err == nil && n >= 2 && tag[0] == '"' && tag[n-1] == '"' {
		tag = tag[1 : n-1]
	}
	return tag, err
}

func (d *decoder) serverError(root []byte) error {
	found := &serverError{}
	for {
		more, err := d.more(root)
		if err != nil {
			return err
		}
		if !more {
			return found
		}
		name, closed, err := d.open()
		if err != nil {
			return err
		}
		if closed {
			continue
		}
		if string(name) != "Code" {
			if err := d.skip(name, 0); err != nil {
				return err
			}
			continue
		}
		raw, _, err := d.text(name)
		if err != nil {
			return err
		}
		found.code = string(raw)
	}
}
