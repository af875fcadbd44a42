package index

import (
	"encoding/json"
	"math"
)

// A cell is one combination of type and link: type*2, plus one for orphans; or byStemCell
// plus the type for files that only a stem links. Headers, summaries and meta are kept by
// cell, and a bit mask of cells says which ones occur or are wanted.
const (
	byStemCell = 2 * numTypes
	numCells   = byStemCell + numTypes
)

const allCells = 1<<numCells - 1

const orphanCells = 0b1010101010

func cellOf(e *Entry) int {
	switch {
	case !e.Linked:
		return int(e.Type)*2 + 1
	case e.ByStem:
		return byStemCell + int(e.Type)
	}
	return int(e.Type) * 2
}

// setCell sets type and link of an entry from its cell.
func (e *Entry) setCell(c int) {
	if c >= byStemCell {
		e.Type, e.Linked, e.ByStem = Type(c-byStemCell), true, true
		return
	}
	e.Type, e.Linked, e.ByStem = Type(c>>1), c&1 == 0, false
}

// typeCells returns the cells of one type.
func typeCells(t Type) uint16 { return 0b11<<(2*t) | 1<<(byStemCell+t) }

// noMinute is the minute of an unknown time: it is older than nothing.
const noMinute = math.MaxUint32

// minuteOf floors a time in Unix milliseconds to the minute since 1970.
func minuteOf(ms int64) uint32 {
	if ms <= 0 {
		return noMinute
	}
	return uint32(min(ms/60_000, noMinute-1))
}

// cell is what a header keeps of one cell.
type cell struct {
	Files  uint64 `json:"files"`
	Bytes  uint64 `json:"bytes"`
	Oldest uint32 `json:"oldest"` // minute of the oldest known time, noMinute when there is none
}

func (c *cell) count(size int64, minute uint32) {
	if c.Files == 0 {
		c.Oldest = noMinute
	}
	c.Files++
	c.Bytes += uint64(size)
	c.Oldest = min(c.Oldest, minute)
}

func (c *cell) add(o *cell) {
	if o.Files == 0 {
		return
	}
	if c.Files == 0 {
		c.Oldest = noMinute
	}
	c.Files += o.Files
	c.Bytes += o.Bytes
	c.Oldest = min(c.Oldest, o.Oldest)
}

type cells [numCells]cell

// stored returns the cells that are stored: segments without entries that only a stem links
// are written as they were in version 1.
func (cs *cells) stored() []cell {
	if cs.mask()>>byStemCell == 0 {
		return cs[:byStemCell]
	}
	return cs[:]
}

// MarshalJSON encodes the stored cells.
func (cs cells) MarshalJSON() ([]byte, error) { return json.Marshal(cs.stored()) }

func (cs *cells) add(o *cells) {
	for i := range cs {
		cs[i].add(&o[i])
	}
}

// mask has a bit for each cell that is not empty.
func (cs *cells) mask() uint16 {
	var m uint16
	for i := range cs {
		if cs[i].Files > 0 {
			m |= 1 << i
		}
	}
	return m
}

func (cs *cells) stats() Stats {
	var s Stats
	for t := range s.ByType {
		s.ByType[t] = Counts{
			Linked: Usage{cs[2*t].Files, cs[2*t].Bytes},
			Orphan: Usage{cs[2*t+1].Files, cs[2*t+1].Bytes},
			ByStem: Usage{cs[byStemCell+t].Files, cs[byStemCell+t].Bytes},
		}
		s.ByType[t].Linked.add(s.ByType[t].ByStem)
	}
	return s
}

// addTo adds the cells of the mask to t.
func (cs *cells) addTo(t *Totals, mask uint16) {
	for i := range cs {
		if mask&(1<<i) != 0 {
			t.addCell(i, Usage{cs[i].Files, cs[i].Bytes})
		}
	}
}

func (t *Totals) addCell(c int, n Usage) {
	if orphanCells&(1<<c) != 0 {
		t.addOrphan(n)
		return
	}
	t.addLinked(n)
	if c >= byStemCell {
		t.addByStem(n)
	}
}
