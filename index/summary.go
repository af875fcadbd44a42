package index

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// A summary has, for each block of a segment, the cells that occur in it, and for each of
// those the oldest minute. It is exact: a block whose summary matches a filter on type,
// link and age has a matching entry. So a query reads no block in vain, however rare its
// matches are. It costs 4 bytes a block, 4 more for each cell that occurs, and the key of
// every 16th block (the fence), from which the others are reached.
type summary struct {
	masks  []uint16
	counts []uint16
	mins   []uint32
	fences []fence
}

type fence struct {
	key  []byte
	mins int // where the mins of its first block begin
}

const fenceEvery = 16

func (s *summary) len() int { return len(s.masks) }

func (s *summary) add(key []byte, h *head) {
	if len(s.masks)%fenceEvery == 0 {
		s.fences = append(s.fences, fence{bytes.Clone(key), len(s.mins)})
	}
	s.masks = append(s.masks, h.cells.mask())
	s.counts = append(s.counts, uint16(h.count))
	for i := range h.cells {
		if h.cells[i].Files > 0 {
			s.mins = append(s.mins, h.cells[i].Oldest)
		}
	}
}

// next returns the first block from i on that has a match, or len when there is none.
func (s *summary) next(i int, f *filter) int {
	if i >= s.len() {
		return s.len()
	}
	if !f.aged {
		for ; i < s.len() && s.masks[i]&f.cells == 0; i++ {
		}
		return i
	}
	at := s.fences[i/fenceEvery].mins
	for j := i / fenceEvery * fenceEvery; j < s.len(); j++ {
		mask := s.masks[j]
		n := bits.OnesCount16(mask)
		if j >= i && mask&f.cells != 0 {
			for m, k := mask, at; m != 0; m, k = m&(m-1), k+1 {
				if m&-m&f.cells != 0 && s.mins[k] < f.minute {
					return j
				}
			}
		}
		at += n
	}
	return s.len()
}

// fenceBefore returns the last fence whose key is at or before key, or 0.
func (s *summary) fenceBefore(key []byte) int {
	i, found := slices.BinarySearchFunc(s.fences, key, func(f fence, k []byte) int { return bytes.Compare(f.key, k) })
	if found {
		return i
	}
	return max(i-1, 0)
}

// encode returns the bytes that loadSummary reads: for each block the mask, the count and
// the mins, before each 16th the length and bytes of its key.
func (s *summary) encode() []byte {
	var out []byte
	at := 0
	for i, mask := range s.masks {
		if i%fenceEvery == 0 {
			key := s.fences[i/fenceEvery].key
			out = binary.LittleEndian.AppendUint16(out, uint16(len(key)))
			out = append(out, key...)
		}
		out = binary.LittleEndian.AppendUint16(out, mask)
		out = binary.LittleEndian.AppendUint16(out, s.counts[i])
		for range bits.OnesCount16(mask) {
			out = binary.LittleEndian.AppendUint32(out, s.mins[at])
			at++
		}
	}
	return out
}

// loadSummary decodes a summary of a number of blocks.
func loadSummary(buf []byte, blocks int) (*summary, error) {
	if blocks < 0 || blocks > len(buf) || blocks > math.MaxInt32 {
		return nil, corruptf("summary of %d blocks in %d bytes", blocks, len(buf))
	}
	s := &summary{masks: make([]uint16, 0, blocks), counts: make([]uint16, 0, blocks)}
	take := func(n int) []byte {
		if n > len(buf) {
			return nil
		}
		b := buf[:n]
		buf = buf[n:]
		return b
	}
	for i := range blocks {
		if i%fenceEvery == 0 {
			n := take(2)
			if n == nil {
				return nil, corruptf("summary is cut short")
			}
			key := take(int(binary.LittleEndian.Uint16(n)))
			if len(key) == 0 {
				return nil, corruptf("summary is cut short")
			}
			s.fences = append(s.fences, fence{bytes.Clone(key), len(s.mins)})
		}
		b := take(4)
		if b == nil {
			return nil, corruptf("summary is cut short")
		}
		mask := binary.LittleEndian.Uint16(b)
		s.masks = append(s.masks, mask)
		s.counts = append(s.counts, binary.LittleEndian.Uint16(b[2:]))
		mins := take(4 * bits.OnesCount16(mask))
		if mins == nil && mask != 0 {
			return nil, corruptf("summary is cut short")
		}
		for ; len(mins) > 0; mins = mins[4:] {
			s.mins = append(s.mins, binary.LittleEndian.Uint32(mins))
		}
	}
	if len(buf) != 0 {
		return nil, corruptf("summary has bytes left over")
	}
	s.mins = slices.Clip(s.mins)
	return s, nil
}
