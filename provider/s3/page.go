package s3

import (
	"slices"

	"firescan/keyspace"
	"firescan/provider"
)

// window is what of a page the caller asked for.
type window struct {
	prefix, start, end, delimiter string
	// after is the start-after that was sent: the server must return greater keys, and may
	// return that one, which is dropped as any key before start.
	after string
	// loose accepts keys in any order, and placeholders as objects.
	loose bool
	// bare accepts folded prefixes without the delimiter, as rclone serve s3 before 1.69 writes
	// them: https://github.com/rclone/rclone/blob/v1.68.2/cmd/serve/s3/list.go.
	bare bool
	// first is set for version 1 of lists, which has no tokens.
	first bool
}

func windowOf(req provider.ListRequest) window {
	return window{
		prefix: req.Prefix, start: req.Start, end: req.Range().End, delimiter: req.Delimiter,
		after: startAfter(req.Prefix, req.Start),
	}
}

// following returns the first key that can follow a page, and whether any does.
func (w window) following(out outcome) (next string, more bool) {
	if !out.truncated || out.ended {
		return "", false
	}
	next = out.next()
	return next, next != "" && keyspace.BeforeEnd(next, w.end)
}

// outcome is what a page has beyond its objects.
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

// next is the first key that can follow in the bucket; "" is none.
func (o outcome) next() string {
	if o.folded {
		return keyspace.PrefixEnd(o.last)
	}
	return keyspace.After(o.last)
}

// decoder turns one list answer into a page.
type decoder struct {
	scanner
	window
	page *provider.Page
	out  outcome

	url, encodingKnown bool
	hasTruncated       bool
	marker             bool  // it has a Marker, as only pages of version 1 have
	early              bool  // it has keys before start-after
	count              int64 // KeyCount; -1 while unknown
	objects, prefixes  int64 // seen, dropped ones included
	lastKey            []byte
	lastPrefix         string
	completed          bool // a folded prefix had no delimiter
}

// decode reads body into page, which it empties first. The body is used as scratch
// space. Whatever it does not fully understand is an error; page is undefined then, and of
// the outcome only last is set, the last key before the error.
func decode(body []byte, w window, page *provider.Page) (outcome, error) {
	page.Reset()
	d := decoder{scanner: scanner{b: body}, window: w, page: page, count: -1}
	if err := d.document(); err != nil {
		return outcome{last: string(d.lastKey)}, err
	}
	err := d.finish()
	return d.out, err
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
	if string(name) == "Marker" {
		d.marker = true
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

// finish checks the page as a whole, after the last byte.
func (d *decoder) finish() error {
	switch {
	case !d.hasTruncated:
		return errMissing
	case d.count >= 0 && d.count != d.objects && d.count != d.objects+d.prefixes:
		return errCount
	case !d.first && d.marker && (d.early || d.out.truncated && d.out.token == ""):
		return errVersion
	case d.early:
		return provider.ErrStartIgnored
	case d.completed && d.out.truncated:
		return errBadFolded // where the list goes on is not clear
	case d.out.truncated && d.out.token == "" && !d.first:
		return errToken
	case d.out.truncated && d.objects+d.prefixes == 0:
		return errNoMore
	}
	if d.completed { // their order was that without the delimiter
		slices.Sort(d.page.Prefixes)
		d.page.Prefixes = slices.Compact(d.page.Prefixes)
	}
	d.out.last = string(d.lastKey)
	if d.prefixes > 0 && d.lastPrefix > d.out.last {
		d.out.last, d.out.folded = d.lastPrefix, true
	}
	return nil
}
