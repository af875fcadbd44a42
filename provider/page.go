package provider

// A Page is the result of one List. A caller owns it and may reuse it for the next
// call, which allocates nothing once its buffers have grown; its former content is
// overwritten.
type Page struct {
	// Objects are in ascending bytewise order of their keys. Folder placeholders
	// (empty objects whose key ends in '/') are not among them, but count in
	// Skipped.
	Objects []Object
	// Prefixes are the folded prefixes of a list with a delimiter, ascending.
	Prefixes []string
	// Skipped counts the folder placeholders of the page.
	Skipped int
	// Next is the Start of the following page when More is set.
	Next string
	// More is false when the range was listed to its end.
	More bool

	arena []byte
}

// Object is one listed object. Key and Tag are valid until the Page that they
// stand in is used again.
type Object struct {
	Key  []byte
	Size int64
	// ModTime is in Unix milliseconds.
	ModTime int64
	// Tag is the ETag without quotes (S3) or the generation in decimal (GCS).
	Tag []byte
}

// Add appends an object and copies key and tag into the page's store. Implementations of
// Bucket fill pages with it, in order.
func (p *Page) Add(key, tag []byte, size, modTime int64) {
	at := len(p.arena)
	// When the store grows, objects added before keep the old one alive; the next
	// use of the page starts with the larger one.
	p.arena = append(append(p.arena, key...), tag...)
	mid, end := at+len(key), len(p.arena)
	p.Objects = append(p.Objects, Object{
		Key: p.arena[at:mid:mid], Tag: p.arena[mid:end:end], Size: size, ModTime: modTime,
	})
}

// Reset empties the page and keeps its buffers.
func (p *Page) Reset() {
	p.Objects = p.Objects[:0]
	p.Prefixes = p.Prefixes[:0]
	p.Skipped = 0
	p.Next = ""
	p.More = false
	p.arena = p.arena[:0]
}
