package index

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"firescan/keyspace"
)

// A block is the value of one bbolt pair; its key is the path of its first entry. All
// numbers are unsigned varints unless a width is given; fixed widths are little endian.
//
//	checksum   8 bytes: xxhash64 of the key and of all that follows
//	count
//	mask       2 bytes: the cells that occur
//	cells      for each: files, bytes, oldest minute + 1 (0 = none known)
//	newest     minute + 1 of the newest entry, 0 when one entry's time is unknown
//	unit       1 byte: 0 = times in milliseconds, 1 = in seconds
//	base       the oldest known time, in units
//	tails      1 byte: how many (≤ 7), then for each: length, bytes
//	entries    count times:
//	           1 byte: bits 0–3 cell, bit 4 packed, bits 5–7 the tail's number (0 = none)
//	           shared: leading bytes that it shares with the path before (the first entry: with the key)
//	           length and bytes of what stands between the shared bytes and the tail; packed: it is made of lower-case
//	           hexadecimal digits, two to a byte, high half first, an odd last one alone in the high half
//	           size
//	           time: (time − base) in units + 1, 0 = unknown
//	           digest, 8 bytes
const (
	maxBlockEntries = 256
	maxBlockBytes   = 24 << 10 // a block of long paths is closed earlier
	maxTails        = 7
	maxTailBytes    = 64
	checksumBytes   = 8
	flagPacked      = 1 << 4
	cellBits        = flagPacked - 1
	tailShift       = 5
)

const hexDigits = "0123456789abcdef"

// nibbles has the value of each hexadecimal digit, 0xff for other bytes.
var nibbles = func() (t [256]uint8) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte(hexDigits) {
		t[c] = uint8(i)
	}
	return t
}()

// packHex appends the digits in text, two to a byte. It returns false, and dst unchanged,
// if text has other characters.
func packHex(dst, text []byte) (packed []byte, ok bool) {
	n := len(dst)
	for i := 0; i < len(text); i += 2 {
		hi, lo := nibbles[text[i]], uint8(0)
		if i+1 < len(text) {
			lo = nibbles[text[i+1]]
		}
		if hi|lo > 15 {
			return dst[:n], false
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, true
}

// digitPairs has the two digits of each byte, the first one in the low half.
var digitPairs = func() (t [256]uint16) {
	for i := range t {
		t[i] = uint16(hexDigits[i>>4]) | uint16(hexDigits[i&15])<<8
	}
	return t
}()

// unpackHex appends n digits.
func unpackHex(dst, packed []byte, n int) []byte {
	at := len(dst)
	dst = slices.Grow(dst, 2*len(packed))
	out := dst[at : at+2*len(packed)]
	for _, b := range packed {
		binary.LittleEndian.PutUint16(out, digitPairs[b])
		out = out[2:]
	}
	return dst[:at+n]
}

// blockSum is the checksum of a block.
func blockSum(key, body []byte) uint64 {
	return xxhash.Sum64(body) ^ bits.RotateLeft64(xxhash.Sum64(key), 31)
}

// A head is the header of a block. The summary is made from it too.
type head struct {
	count  int
	cells  cells
	newest uint32 // minute of the newest entry; noMinute when one is unknown
}

// A builder collects the entries of one block. It allocates only while its buffers grow.
type builder struct {
	head
	key   []byte // first path
	text  []byte // what stands between shared bytes and tail, entry after entry
	tails [maxTails][]byte
	nt    int
	sec   bool   // all times are whole seconds
	base  int64  // oldest known time, ms
	sum   uint64 // checksum, once it is encoded
	limit int    // of entries, at most maxBlockEntries
	rows  [maxBlockEntries]row
}

type row struct {
	size, mtime int64
	digest      uint64
	shared, mid uint16
	flags       uint8
}

func (b *builder) reset() {
	b.head = head{}
	b.nt, b.sec, b.base = 0, true, 0
	b.text = b.text[:0]
}

func (b *builder) full() bool {
	return b.count == b.limit || len(b.text) >= maxBlockBytes
}

// add appends an entry whose path follows all paths before it and shares its first bytes
// with the previous one. The caller has checked order and bounds.
func (b *builder) add(e *Entry, shared int) {
	path := e.Path
	if b.count == 0 {
		b.reset()
		b.key = append(b.key[:0], path...)
		shared = len(path)
	}
	tail, end := b.tail(path)
	shared = min(shared, end)
	var flags uint8
	text, packed := packHex(b.text, path[shared:end])
	if packed {
		flags = flagPacked
	} else {
		text = append(text, path[shared:end]...)
	}
	b.text = text

	c := cellOf(e)
	mtime := max(e.ModTime, 0)
	minute := minuteOf(mtime)
	b.cells[c].count(e.Size, minute)
	b.newest = max(b.newest, minute)
	if mtime > 0 && (b.base == 0 || mtime < b.base) {
		b.base = mtime
	}
	b.sec = b.sec && mtime%1000 == 0

	b.rows[b.count] = row{
		size: e.Size, mtime: mtime, digest: e.Digest,
		shared: uint16(shared), mid: uint16(end - shared),
		flags: flags | uint8(c) | uint8(tail)<<tailShift,
	}
	b.count++
}

// textBytes returns how many bytes store mid characters.
func textBytes(flags uint8, mid int) int {
	if flags&flagPacked != 0 {
		return (mid + 1) / 2
	}
	return mid
}

// tail returns the number of the path's extension in the table of the block (0 when it is
// not there) and where the extension begins.
func (b *builder) tail(path []byte) (n, begin int) {
	begin = len(keyspace.Stem(path))
	ext := path[begin:]
	if len(ext) < 2 || len(ext) > maxTailBytes {
		return 0, len(path)
	}
	for i, t := range b.tails[:b.nt] {
		if string(t) == string(ext) {
			return i + 1, begin
		}
	}
	if b.nt == maxTails {
		return 0, len(path)
	}
	b.tails[b.nt] = append(b.tails[b.nt][:0], ext...)
	b.nt++
	return b.nt, begin
}

// encode appends the block to dst and sets its checksum.
func (b *builder) encode(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, checksumBytes)...)
	dst = binary.AppendUvarint(dst, uint64(b.count))
	dst = binary.LittleEndian.AppendUint16(dst, b.cells.mask())
	for i := range b.cells {
		if c := &b.cells[i]; c.Files > 0 {
			dst = binary.AppendUvarint(dst, c.Files)
			dst = binary.AppendUvarint(dst, c.Bytes)
			dst = binary.AppendUvarint(dst, uint64(c.Oldest+1))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(b.newest+1))
	unit := int64(1)
	if b.sec {
		unit = 1000
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	base := b.base / unit
	dst = binary.AppendUvarint(dst, uint64(base))
	dst = append(dst, uint8(b.nt))
	for _, t := range b.tails[:b.nt] {
		dst = binary.AppendUvarint(dst, uint64(len(t)))
		dst = append(dst, t...)
	}
	text := b.text
	for i := range b.rows[:b.count] {
		r := &b.rows[i]
		dst = append(dst, r.flags)
		dst = binary.AppendUvarint(dst, uint64(r.shared))
		dst = binary.AppendUvarint(dst, uint64(r.mid))
		n := textBytes(r.flags, int(r.mid))
		dst = append(dst, text[:n]...)
		text = text[n:]
		dst = binary.AppendUvarint(dst, uint64(r.size))
		if r.mtime == 0 {
			dst = append(dst, 0)
		} else {
			dst = binary.AppendUvarint(dst, uint64(r.mtime/unit-base+1))
		}
		dst = binary.LittleEndian.AppendUint64(dst, r.digest)
	}
	block := dst[start:]
	b.sum = blockSum(b.key, block[checksumBytes:])
	binary.LittleEndian.PutUint64(block, b.sum)
	return dst
}
