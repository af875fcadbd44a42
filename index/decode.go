package index

import (
	"encoding/binary"
)

// reader decodes one block. It trusts nothing: any input gives entries or an error that
// marks damage.
type reader struct {
	head
	err  error
	buf  []byte // what is left
	left int    // entries left
	unit int64
	base int64
	path []byte
	nt   int
	tail [maxTails][]byte
}

// checkBlock verifies and returns the checksum of a block.
func checkBlock(key, block []byte) (uint64, error) {
	if len(block) < checksumBytes {
		return 0, corruptf("block at %q is cut short", key)
	}
	sum := binary.LittleEndian.Uint64(block)
	if sum != blockSum(key, block[checksumBytes:]) {
		return 0, corruptf("block at %q has a wrong checksum", key)
	}
	return sum, nil
}

// open reads the header and the tails. It does not compare the checksum. The block must
// stay unchanged while it is read.
func (r *reader) open(key, block []byte) error {
	if len(block) < checksumBytes {
		return corruptf("block at %q is cut short", key)
	}
	r.err = nil
	r.buf = block[checksumBytes:]
	r.path = append(r.path[:0], key...)
	r.count = int(min(r.uvarint(), maxBlockEntries+1))
	if r.count > maxBlockEntries {
		r.fail("too many entries")
		return r.err
	}
	r.left = r.count
	if len(r.buf) < 2 {
		r.fail("cut short")
		return r.err
	}
	mask := binary.LittleEndian.Uint16(r.buf)
	r.buf = r.buf[2:]
	if mask&^allCells != 0 {
		r.fail("unknown type")
		return r.err
	}
	for i := range r.cells {
		if mask&(1<<i) == 0 {
			r.cells[i] = cell{}
			continue
		}
		r.cells[i] = cell{Files: r.uvarint(), Bytes: r.uvarint(), Oldest: uint32(r.uvarint()) - 1}
	}
	r.newest = uint32(r.uvarint()) - 1
	switch r.byte() {
	case 0:
		r.unit = 1
	case 1:
		r.unit = 1000
	default:
		r.fail("unknown unit of time")
		return r.err
	}
	r.base = int64(r.uvarint())
	if r.nt = int(r.byte()); r.nt > maxTails {
		r.fail("too many tails")
		return r.err
	}
	for i := range r.nt {
		r.tail[i] = r.bytes(r.uvarint())
	}
	return r.err
}

// next decodes the next entry into e. e.Path is valid until the next call. It returns
// false at the end and on damage: see err.
func (r *reader) next(e *Entry) bool {
	flags, shared, mid, text, ok := r.row()
	if !ok {
		return false
	}
	if shared > len(r.path) {
		r.fail("bad path")
		return false
	}
	if flags&flagPacked != 0 {
		r.path = unpackHex(r.path[:shared], text, mid)
	} else {
		r.path = append(r.path[:shared], text...)
	}
	if t := int(flags >> tailShift); t > 0 {
		if t > r.nt {
			r.fail("no such tail")
			return false
		}
		r.path = append(r.path, r.tail[t-1]...)
	}
	if len(r.path) == 0 || len(r.path) > MaxPath {
		r.fail("bad path")
		return false
	}
	e.Path = r.path
	return r.rest(flags, e)
}

// nextRow is next without the path.
func (r *reader) nextRow(e *Entry) bool {
	flags, _, _, _, ok := r.row()
	return ok && r.rest(flags, e)
}

// row reads an entry up to its text.
func (r *reader) row() (flags uint8, shared, mid int, text []byte, ok bool) {
	if r.left == 0 || r.err != nil {
		if r.err == nil && len(r.buf) != 0 {
			r.fail("bytes left over")
		}
		return 0, 0, 0, nil, false
	}
	r.left--
	buf := r.buf
	if len(buf) > 2 && buf[1]|buf[2] < 0x80 {
		flags, shared, mid, buf = buf[0], int(buf[1]), int(buf[2]), buf[3:]
	} else {
		flags = r.byte()
		s, m := r.uvarint(), r.uvarint()
		if s > MaxPath || m > MaxPath {
			r.fail("bad path")
		}
		shared, mid, buf = int(s), int(m), r.buf
	}
	n := textBytes(flags, mid)
	if n > len(buf) {
		r.fail("cut short")
	}
	if r.err != nil {
		return 0, 0, 0, nil, false
	}
	r.buf = buf[n:]
	return flags, shared, mid, buf[:n], true
}

// rest reads the entry from its size on.
func (r *reader) rest(flags uint8, e *Entry) bool {
	buf := r.buf
	size, n := uvarint(buf)
	buf = buf[n:]
	t, m := uvarint(buf)
	buf = buf[m:]
	if n == 0 || m == 0 || len(buf) < 8 {
		r.fail("cut short")
		return false
	}
	e.Size, e.ModTime = int64(size), 0
	if t > 0 {
		e.ModTime = (r.base + int64(t) - 1) * r.unit
	}
	e.Digest = binary.LittleEndian.Uint64(buf)
	r.buf = buf[8:]
	c := int(flags & cellBits)
	e.setCell(c)
	if c >= numCells || e.Size < 0 || e.ModTime < 0 {
		r.fail("bad entry")
		return false
	}
	return true
}

// uvarint returns a number and its length, 0 when there is none.
func uvarint(buf []byte) (v uint64, n int) {
	for i, b := range buf {
		if b < 0x80 {
			if i == 9 && b > 1 {
				return 0, 0
			}
			return v | uint64(b)<<(7*i&63), i + 1
		}
		if i == 9 {
			return 0, 0
		}
		v |= uint64(b&0x7f) << (7 * i & 63)
	}
	return 0, 0
}

func (r *reader) byte() uint8 {
	if len(r.buf) == 0 {
		r.fail("cut short")
		return 0
	}
	b := r.buf[0]
	r.buf = r.buf[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := uvarint(r.buf)
	if n == 0 {
		r.fail("bad number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.fail("cut short")
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

// fail ends the reading with an error in r.err.
func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = corruptf("block: %s", why)
	}
	r.buf, r.left = nil, 0
}
