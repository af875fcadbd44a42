package gcs

import (
	"slices"

	"firescan/keyspace"
	"firescan/provider"
)

// finish completes the page of a response: without entries that the next page repeats,
// without more entries than requested, without placeholders, and with the start of the
// next page. It returns false when the response has nothing of the window and the list
// has to continue by token.
func (d *decoder) finish() bool {
	if d.token != "" {
		known := d.known()
		if known == "" {
			return false
		}
		if d.end == "" || known < d.end {
			d.cut(known)
		}
	}
	d.bound()
	d.dropPlaceholders()
	return true
}

// known returns up to where a response with more after it is complete; "" is nowhere in
// the window. Names and folded prefixes are separate lists. That both end at the same
// place is documented nowhere, and is not so with emulators, so it is the lesser end. A
// list that has not reached the window ends nothing.
func (d *decoder) known() string {
	known := ""
	if d.last != "" && d.last >= d.start {
		known = keyspace.After(d.last)
	}
	if d.lastPrefix != "" {
		if beyond := keyspace.PrefixEnd(d.lastPrefix); beyond > d.start && (known == "" || beyond < known) {
			known = beyond
		}
	}
	return known
}

// cut leaves to the next page what stands at or behind next.
func (d *decoder) cut(next string) {
	p := d.page
	for n := len(p.Objects); n > 0 && string(p.Objects[n-1].Key) >= next; n-- {
		p.Objects = p.Objects[:n-1]
	}
	for n := len(p.Prefixes); n > 0 && p.Prefixes[n-1] >= next; n-- {
		p.Prefixes = p.Prefixes[:n-1]
	}
	p.Next, p.More = next, true
}

// bound leaves to the next page what stands behind as many entries as were asked for.
func (d *decoder) bound() {
	objects, prefixes := d.page.Objects, d.page.Prefixes
	if d.most <= 0 || len(objects)+len(prefixes) <= d.most {
		return
	}
	next := ""
	for n := range d.most {
		last := n == d.most-1
		if len(prefixes) == 0 || len(objects) > 0 && string(objects[0].Key) < prefixes[0] {
			if last {
				next = keyspace.After(string(objects[0].Key))
			}
			objects = objects[1:]
		} else {
			if last {
				next = keyspace.PrefixEnd(prefixes[0])
			}
			prefixes = prefixes[1:]
		}
	}
	d.cut(next)
}

// dropPlaceholders takes the objects out that only stand for folders.
func (d *decoder) dropPlaceholders() {
	p := d.page
	p.Objects = slices.DeleteFunc(p.Objects, func(o provider.Object) bool {
		placeholder := o.Size == 0 && o.Key[len(o.Key)-1] == '/'
		if placeholder {
			p.Skipped++
		}
		return placeholder
	})
}
