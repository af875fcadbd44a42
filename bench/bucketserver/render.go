package bucketserver

import (
	"encoding/base64"
	"strconv"
)

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`

const xmlTail = `</ListBucketResult>`

// renderHead renders the elements before the objects, without a continuation token or
// next marker if withToken is false.
func (p *page) renderHead(l *list, bucket string, withToken bool) {
	h := append(p.head[:0], xmlHead...)
	h = appendElement(h, "Name", bucket, false)
	h = appendElement(h, "Prefix", string(l.prefix), l.urlKeys)
	if l.v2 {
		if l.after != "" {
			h = appendElement(h, "StartAfter", l.after, l.urlKeys)
		}
		if l.token != "" {
			h = appendElement(h, "ContinuationToken", l.token, false)
		}
		if p.more && withToken {
			h = append(h, "<NextContinuationToken>"...)
			h = base64.RawURLEncoding.AppendEncode(h, p.next)
			h = append(h, "</NextContinuationToken>"...)
		}
		h = append(h, "<KeyCount>"...)
		h = strconv.AppendInt(h, int64(p.keys), 10)
		h = append(h, "</KeyCount>"...)
	} else {
		h = appendElement(h, "Marker", l.after, l.urlKeys)
		// AWS returns NextMarker only with a delimiter; otherwise the last key is the
		// marker.
		if p.more && withToken && len(l.delimiter) > 0 {
			h = appendElement(h, "NextMarker", string(p.last), l.urlKeys)
		}
	}
	h = append(h, "<MaxKeys>"...)
	h = strconv.AppendInt(h, int64(l.maxKeys), 10)
	h = append(h, "</MaxKeys>"...)
	if len(l.delimiter) > 0 {
		h = appendElement(h, "Delimiter", string(l.delimiter), l.urlKeys)
	}
	if l.urlKeys {
		h = append(h, "<EncodingType>url</EncodingType>"...)
	}
	h = append(h, "<IsTruncated>"...)
	h = strconv.AppendBool(h, p.more)
	p.head = append(h, "</IsTruncated>"...)
}

// objectMiddle is the text between an object's key and its size, with placeholders for
// time and ETag. One copy and a few stores cost half as much as appending piece by piece.
const (
	objectMiddle = "</Key><LastModified>2023-01-01T00:00:00.000Z</LastModified><ETag>&quot;00000000000000000000000000000000&quot;</ETag><Size>"
	timeAt       = len("</Key><LastModified>")
	tagAt        = len("</Key><LastModified>2023-01-01T00:00:00.000Z</LastModified><ETag>&quot;")
)

func appendObject(dst []byte, o *Object, urlKeys, escape bool) []byte {
	dst = append(dst, "<Contents><Key>"...)
	if escape {
		dst = appendText(dst, string(o.Key), urlKeys)
	} else {
		dst = append(dst, o.Key...) // computed keys need no escaping
	}
	dst = append(dst, objectMiddle...)
	middle := dst[len(dst)-len(objectMiddle):]
	putTime(middle[timeAt:], o.ModTime)
	putTag(middle[tagAt:], &o.ETag)
	dst = strconv.AppendInt(dst, o.Size, 10)
	return append(dst, "</Size><StorageClass>STANDARD</StorageClass></Contents>"...)
}

func appendPrefix(dst, prefix []byte, urlKeys bool) []byte {
	dst = append(dst, "<CommonPrefixes>"...)
	dst = appendElement(dst, "Prefix", string(prefix), urlKeys)
	return append(dst, "</CommonPrefixes>"...)
}

func appendElement(dst []byte, name, text string, urlText bool) []byte {
	dst = append(append(append(dst, '<'), name...), '>')
	dst = appendText(dst, text, urlText)
	return append(append(append(dst, "</"...), name...), '>')
}

// appendText appends text to XML. With encoding-type=url it encodes like S3: a space is a
// plus sign, slashes stay. Without it, characters that XML 1.0 forbids become character
// references, as in S3.
func appendText(dst []byte, text string, urlText bool) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '*', c == '/':
			dst = append(dst, c)
		case urlText && c == ' ':
			dst = append(dst, '+')
		case urlText:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		case c == '<':
			dst = append(dst, "&lt;"...)
		case c == '>':
			dst = append(dst, "&gt;"...)
		case c == '&':
			dst = append(dst, "&amp;"...)
		case c < 0x20:
			dst = append(dst, "&#x"...)
			dst = strconv.AppendUint(dst, uint64(c), 16)
			dst = append(dst, ';')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
