package bucketserver

import (
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Object is what a list tells of one object.
type Object struct {
	Key  []byte
	Size int64
	// ModTime is in Unix seconds: S3 tells no finer.
	ModTime int64
	// ETag is the MD5-like tag, as bytes.
	ETag [16]byte
	Type Type
}

// describe makes o the computed object of the given key and type, whose hash is h. o
// keeps key.
func describe(o *Object, key []byte, kind Type, h uint64) {
	o.Key, o.Type = key, kind
	o.Size = sizeOf(kind, h)
	o.ModTime = epoch.Unix() + int64(mix(h)>>32*(epochDays*msPerDay/1000)>>32)
	binary.BigEndian.PutUint64(o.ETag[:8], mix(h+1))
	binary.BigEndian.PutUint64(o.ETag[8:], mix(h+2))
}

func sizeOf(kind Type, h uint64) int64 {
	switch kind {
	case Backup:
		return int64(1_000_000 + h%99_000_000)
	case Meta:
		return int64(500 + h%5_000)
	case Auth:
		return int64(1_000 + h%200_000)
	default:
		return int64(10_000 + h%5_000_000)
	}
}

// Digest sums up a set of objects, whatever the order in which they are added: two
// sets are the same when their digests are (but for a chance of 2^-64).
type Digest struct {
	Files uint64 `json:"files"`
	Bytes uint64 `json:"bytes"`
	// Sum is over key, size and time of modification.
	Sum uint64 `json:"sum"`
	// TagSum is over all that and the ETag too.
	TagSum uint64 `json:"tagSum"`
}

// Add adds an object; modTime is in Unix seconds, tag the ETag in hex without
// quotes.
func (d *Digest) Add(key []byte, size, modTime int64, tag []byte) {
	h := mix(xxhash.Sum64(key) ^ mix(uint64(size)) ^ mix(mix(uint64(modTime))))
	d.Files++
	d.Bytes += uint64(size)
	d.Sum += h
	d.TagSum += mix(h ^ xxhash.Sum64(tag))
}

// Merge adds all that other has.
func (d *Digest) Merge(other Digest) {
	d.Files += other.Files
	d.Bytes += other.Bytes
	d.Sum += other.Sum
	d.TagSum += other.TagSum
}

// appendTag appends the ETag in hex.
func appendTag(dst []byte, tag *[16]byte) []byte {
	dst = appendHex16(dst, binary.BigEndian.Uint64(tag[:8]))
	return appendHex16(dst, binary.BigEndian.Uint64(tag[8:]))
}

// appendTime appends a time of the three years as S3's lists do,
// 2024-02-29T12:34:56.000Z.
func appendTime(dst []byte, unix int64) []byte {
	s := unix - epoch.Unix()
	if s < 0 || s >= epochDays*msPerDay/1000 {
		return time.Unix(unix, 0).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	rest := uint64(s) % (msPerDay / 1000)
	dst = append(dst, dayDashed[uint64(s)/(msPerDay/1000)]...)
	dst = append(dst, 'T')
	dst = appendPair(dst, rest/3600)
	dst = append(dst, ':')
	dst = appendPair(dst, rest/60%60)
	dst = append(dst, ':')
	dst = appendPair(dst, rest%60)
	return append(dst, ".000Z"...)
}
