package gcs

import (
	"strings"
	"unicode/utf8"

	"firescan/keyspace"
	"firescan/provider"
)

// maxKey is the longest name that Cloud Storage takes, in bytes.
const maxKey = 1024

// maxPage is the most entries that Cloud Storage gives in one answer.
// https://cloud.google.com/storage/docs/json_api/v1/objects/list
const maxPage = 1000

// window is what a caller asks for, and how the server is asked for it. The bounds of a
// range are any bytes, and those that are sent are like names: UTF-8 of at most 1,024
// bytes, without the zero byte of provider.After, of which it is not known that it
// survives a request. They are never narrower than the caller's, and mostly the same;
// what lies between the two is dropped.
type window struct {
	// start and end are the caller's bounds and those of its prefix: start <= key < end;
	// an empty end is none.
	start, end string
	delimiter  string

	prefix, from, until string // sent as prefix, startOffset and endOffset
	count               int    // sent as maxResults
	most                int    // entries of a page; 0 is as they come
	// loose accepts names in any order.
	loose bool
}

// newWindow works out the window of a request, or that no key lies in it.
func newWindow(req provider.ListRequest) (w window, some bool) {
	wanted := req.Range()
	w = window{
		start: wanted.Start, end: wanted.End,
		delimiter: req.Delimiter, prefix: valid(req.Prefix), count: maxPage, most: req.MaxKeys,
	}
	if wanted.IsEmpty() {
		return w, false
	}
	if w.start > w.prefix {
		if w.from, some = startOffset(w.start); !some {
			return w, false
		}
	}
	if own := keyspace.PrefixEnd(w.prefix); w.end != own {
		w.until = endOffset(w.end)
	}
	if w.most > 0 && w.most < maxPage {
		w.count = w.most
		if w.from != w.start {
			w.count++ // the key that from is belongs to the page before
		}
	}
	return w, true
}

// valid is the longest part of a prefix that is UTF-8.
func valid(prefix string) string {
	for !utf8.ValidString(prefix) {
		prefix = prefix[:len(prefix)-1]
	}
	return prefix
}

// startOffset is from where the server is asked to list, which is at or before start.
// There is none behind every name that can be.
func startOffset(start string) (from string, some bool) {
	// A zero byte behind a key means what follows it: see provider.After.
	from = strings.TrimRight(start, "\x00")
	if from, some = ceiling(from); len(from) > maxKey {
		from = valid(from[:maxKey])
	}
	return from, some
}

// endOffset is where the server is asked to stop, which is at or behind end; "" is
// nowhere.
func endOffset(end string) string {
	until := strings.TrimRight(end, "\x00")
	if until != end {
		until += " " // the least character that is no control character
	}
	until, some := ceiling(until)
	if !some || len(until) > maxKey {
		return ""
	}
	return until
}

// ceiling is the least UTF-8 string at or behind s: names are UTF-8, so it bounds the
// same names. There is none behind all of them.
func ceiling(s string) (string, bool) {
	good := valid(s)
	if good == s {
		return s, true
	}
	// What follows good is no character: the next character in order is the bound, one of
	// more bytes than one, or what comes behind good itself.
	if r, ok := characterFrom(s[len(good):]); ok {
		return good + string(r), true
	}
	return behind(good)
}

// characterFrom is the least character whose encoding is at or behind s, which begins
// with none.
func characterFrom(s string) (rune, bool) {
	low, high := rune(utf8.RuneSelf), rune(utf8.MaxRune)
	if string(high) < s {
		return 0, false
	}
	for low < high {
		mid := low + (high-low)/2
		if encoding(mid) < s {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low >= surrogates && low < surrogatesEnd {
		low = surrogatesEnd
	}
	return low, true
}

// Code points that are no characters, and have no encoding.
const surrogates, surrogatesEnd = 0xd800, 0xe000

// encoding is the UTF-8 of r, and for surrogates that of the first character behind.
func encoding(r rune) string {
	if r >= surrogates && r < surrogatesEnd {
		r = surrogatesEnd
	}
	return string(r)
}

// behind is the least UTF-8 string that is greater than all that begin with s.
func behind(s string) (string, bool) {
	for s != "" {
		r, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
		switch {
		case r == surrogates-1:
			return s + string(rune(surrogatesEnd)), true
		case r < utf8.MaxRune:
			return s + string(r+1), true
		}
	}
	return "", false
}
