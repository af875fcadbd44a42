package bucketserver

import (
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Object is an entry of a list.
type Object struct {
	Key  []byte
	Size int64
	// ModTime is in Unix seconds, the resolution of S3.
	ModTime int64
	// ETag is the MD5-like tag, as bytes.
	ETag [16]byte
	Type Type
}

// describe sets o to the computed object with the given key, type and hash. o retains
// key.
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

// Digest is an order-independent hash of a set of objects. Equal digests mean equal sets,
// except with probability 2^-64.
type Digest struct {
	Files uint64 `json:"files"`
	Bytes uint64 `json:"bytes"`
	// Sum covers key, size and modification time.
	Sum uint64 `json:"sum"`
	// TagSum also covers the ETag.
	TagSum uint64 `json:"tagSum"`
}

// Add adds an object. modTime is in Unix seconds; tag is the ETag in hex without quotes.
func (d *Digest) Add(key []byte, size, modTime int64, tag []byte) {
	h := mix(xxhash.Sum64(key) ^ mix(uint64(size)) ^ mix(mix(uint64(modTime))))
	d.Files++
	d.Bytes += uint64(size)
	d.Sum += h
	d.TagSum += mix(h ^ xxhash.Sum64(tag))
}

// Merge adds the objects of other.
func (d *Digest) Merge(other Digest) {
	d.Files += other.Files
	d.Bytes += other.Bytes
	d.Sum += other.Sum
	d.TagSum += other.TagSum
}

// appendTag appends the ETag in hex.
func appendTag(dst []byte, tag *[16]byte) []byte {
	dst = append(dst, "00000000000000000000000000000000"...)
	putTag(dst[len(dst)-2*len(tag):], tag)
	return dst
}

func putTag(dst []byte, tag *[16]byte) {
	_ = dst[31]
	for i := range 4 {
		binary.BigEndian.PutUint64(dst[8*i:], hex8(binary.BigEndian.Uint32(tag[4*i:])))
	}
}

const timeLayout = "2006-01-02T15:04:05.000Z"

// appendTime appends a time in the format of S3 lists, 2024-02-29T12:34:56.000Z.
func appendTime(dst []byte, unix int64) []byte {
	dst = append(dst, timeLayout...)
	putTime(dst[len(dst)-len(timeLayout):], unix)
	return dst
}

// putTime formats a time; times within the three years take a fast path.
func putTime(dst []byte, unix int64) {
	s := unix - epoch.Unix()
	if s < 0 || s >= epochDays*msPerDay/1000 {
		copy(dst, time.Unix(unix, 0).UTC().Format(timeLayout))
		return
	}
	day, rest := uint64(s)/(msPerDay/1000), uint64(s)%(msPerDay/1000)
	_ = dst[len(timeLayout)-1]
	copy(dst, dayDashed[day])
	putPair(dst[11:], rest/3600)
	putPair(dst[14:], rest/60%60)
	putPair(dst[17:], rest%60)
	copy(dst[19:], ".000Z")
	dst[10], dst[13], dst[16] = 'T', ':', ':'
}

func putPair(dst []byte, v uint64) {
	p := decPairs[v]
	dst[0], dst[1] = p[0], p[1]
}
