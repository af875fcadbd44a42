package s3

import (
	"strings"

	"firescan/keyspace"
	"firescan/provider"
)

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
		return provider.ErrUnordered
	case len(folded) <= len(d.prefix) || !strings.HasPrefix(folded, d.prefix):
		return errOutside
	case !strings.HasSuffix(folded, d.delimiter):
		if !d.bare || strings.Contains(folded[len(d.prefix):], d.delimiter) {
			return errBadFolded
		}
		d.completed = true
	}
	d.prefixes++
	d.lastPrefix = folded
	if d.completed && !strings.HasSuffix(folded, d.delimiter) {
		folded += d.delimiter
	}
	behind := keyspace.PrefixEnd(folded)
	if d.after != "" && behind != "" && behind <= d.after {
		d.early = true
	}
	switch {
	case d.end != "" && folded >= d.end:
		d.out.ended = true
	case behind == "" || behind > d.start:
		d.page.Prefixes = append(d.page.Prefixes, folded)
	}
	return nil
}
