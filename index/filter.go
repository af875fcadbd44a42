package index

// A filter is the part of a query that headers and summaries can decide.
type filter struct {
	cells  uint16 // the cells that are wanted
	aged   bool   // ModifiedBefore is on
	minute uint32 // entries of an earlier minute match
}

func (q *Query) filter() filter {
	f := filter{cells: allCells}
	if q.OrphansOnly {
		f.cells = orphanCells
	}
	if q.Type != nil {
		f.cells &= typeCells(*q.Type)
	}
	if q.ModifiedBefore != 0 {
		f.aged = true
		// Flooring the bound and the times to the minute compares the same: time < bound
		// ⇔ minute(time) < minute(bound).
		f.minute = uint32(min(max(q.ModifiedBefore, 0)/60_000, noMinute-1))
	}
	return f
}

// matches reports whether an entry matches.
func (f *filter) matches(e *Entry) bool {
	return f.cells&(1<<cellOf(e)) != 0 && (!f.aged || minuteOf(e.ModTime) < f.minute)
}

// matching returns the wanted cells that have a match.
func (f *filter) matching(cs *cells) uint16 {
	m := cs.mask() & f.cells
	if f.aged {
		for i := range cs {
			if m&(1<<i) != 0 && cs[i].Oldest >= f.minute {
				m &^= 1 << i
			}
		}
	}
	return m
}

// whole reports whether every entry in the matching cells of a group with this newest
// minute matches.
func (f *filter) whole(newest uint32) bool {
	return !f.aged || newest < f.minute
}
