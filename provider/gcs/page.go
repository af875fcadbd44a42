package gcs

import (
	"bytes"
	"encoding/json"
	"strings"

	"google.golang.org/api/googleapi"

	"firescan/keyspace"
	"firescan/provider"
)

// kindObjects is what a list of objects calls itself. An empty list is hardly more than
// that, so that any other answer could pass for one.
const kindObjects = "storage#objects"

// decoder turns one objects.list answer into a page.
type decoder struct {
	scanner
	window
	page *provider.Page
	// least is the first name that the server may return.
	least string

	hasKind, hasToken, hasItems, hasPrefixes bool
	token                                    string
	// last and lastPrefix are the greatest name and prefix of the response, inside the
	// window or not.
	last, lastPrefix string

	lastName []byte // while reading
}

// decode reads body, which it uses as scratch space, into the page, which it empties
// first. Folder placeholders are still among the objects. Whatever it does not fully
// understand is an error.
func (d *decoder) decode(body []byte) error {
	d.b, d.i = body, 0
	d.page.Reset()
	if d.peek() == 0 && d.i >= len(d.b) {
		return errEmpty
	}
	if d.b[d.i] != '{' {
		return errNotAPage
	}
	if err := d.object(d.member); err != nil {
		return err
	}
	if d.space(); d.i < len(d.b) {
		return errTrailing
	}
	if !d.hasKind {
		return errNotAPage
	}
	d.last, d.lastName = string(d.lastName), nil
	return nil
}

// member reads one member of the response.
func (d *decoder) member(name []byte) error {
	switch string(name) {
	case "kind":
		kind, err := d.text()
		if err == nil && string(kind) != kindObjects {
			err = errNotAPage
		}
		return once(&d.hasKind, err)
	case "nextPageToken":
		token, err := d.text()
		d.token = string(token)
		return once(&d.hasToken, err)
	case "items":
		return once(&d.hasItems, d.array(d.item))
	case "prefixes":
		return once(&d.hasPrefixes, d.array(d.folded))
	case "error":
		return d.serverError()
	}
	return d.skip(0)
}

// once notes that a field was read; err is that of reading it.
func once(seen *bool, err error) error {
	if err == nil && *seen {
		return errTwice
	}
	*seen = true
	return err
}

// item reads one object.
func (d *decoder) item() error {
	var (
		name, tag                         []byte
		size, modified                    int64
		hasName, hasSize, hasTime, hasTag bool
	)
	err := d.object(func(field []byte) error {
		switch string(field) {
		case "name":
			text, err := d.text()
			name = text
			return once(&hasName, err)
		case "size":
			text, err := d.text()
			if err == nil {
				size, err = number(text)
			}
			return once(&hasSize, err)
		case "updated":
			text, err := d.text()
			if err == nil {
				modified, err = modTime(text)
			}
			return once(&hasTime, err)
		case "generation":
			text, err := d.text()
			if tag = text; err == nil {
				_, err = number(text)
			}
			return once(&hasTag, err)
		}
		return d.skip(0)
	})
	switch {
	case err != nil:
		return err
	case len(name) == 0:
		return errNoName
	case !hasSize:
		return errNoSize
	case !hasTag:
		return errNoTag
	}
	inside, err := d.admit(name)
	if inside {
		d.page.Add(name, tag, size, modified)
	}
	return err
}

// admit checks a name's place and reports whether it lies in the window.
func (d *decoder) admit(name []byte) (bool, error) {
	switch {
	case len(name) < len(d.prefix) || string(name[:len(d.prefix)]) != d.prefix:
		return false, errOutside
	case d.loose:
	case d.lastName != nil && bytes.Compare(name, d.lastName) <= 0:
		return false, provider.ErrUnordered
	case string(name) < d.least:
		return false, provider.ErrStartIgnored
	}
	d.lastName = name
	return string(name) >= d.start && (d.end == "" || string(name) < d.end), nil
}

// folded reads one folded prefix.
func (d *decoder) folded() error {
	text, err := d.text()
	if err != nil {
		return err
	}
	prefix := string(text)
	switch {
	case d.delimiter == "":
		return errUnfolded
	case d.lastPrefix != "" && prefix <= d.lastPrefix:
		return provider.ErrUnordered
	case len(prefix) <= len(d.prefix) || !strings.HasPrefix(prefix, d.prefix):
		return errOutside
	case !strings.HasSuffix(prefix, d.delimiter):
		return errBadFolded
	}
	beyond := keyspace.PrefixEnd(prefix)
	if beyond <= d.least {
		return provider.ErrStartIgnored
	}
	d.lastPrefix = prefix
	if beyond > d.start && (d.end == "" || prefix < d.end) {
		d.page.Prefixes = append(d.page.Prefixes, prefix)
	}
	return nil
}

// serverError reads an error that stands in place of a list, under status 200.
func (d *decoder) serverError() error {
	d.space()
	from := d.i
	var e googleapi.Error
	if err := d.skip(0); err != nil || json.Unmarshal(d.b[from:d.i], &e) != nil {
		return errNotAPage
	}
	return &inPlace{status: e.Code, reason: firstReason(&e)}
}
