package s3

import (
	"bytes"

	"firescan/provider"
)

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
	if size == 0 && key[len(key)-1] == '/' && !d.loose {
		d.page.Skipped++
		return nil
	}
	d.page.Add(key, tag, size, modified)
	return nil
}

// admit checks a key's place and reports whether it lies in the window.
func (d *decoder) admit(key []byte) (bool, error) {
	switch {
	case len(key) < len(d.prefix) || string(key[:len(d.prefix)]) != d.prefix:
		return false, errOutside
	case d.loose:
	case d.objects > 0 && bytes.Compare(key, d.lastKey) <= 0:
		return false, provider.ErrUnordered
	case string(key) < d.after, d.objects > 0 && string(key) == d.after:
		d.early = true
	}
	d.objects++
	d.lastKey = key
	if d.end != "" && string(key) >= d.end {
		d.out.ended = true
		return false, nil
	}
	return string(key) >= d.start, nil
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
