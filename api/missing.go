package api

import (
	"bytes"
	"context"
	"errors"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/keyspace"
)

// missingList finds the backups of a destination of which objects are missing, or were not
// looked for: they lie where no scan has listed.
type missingList struct {
	backend     *backend
	org         string
	destination *pb.Destination
	// own is the shard of the destination, nil before its first sync; others are those of
	// other destinations of the organization, which may hold what records name elsewhere.
	own    *searched
	others []*searched
}

// searched is a part of a bucket that a scan has listed.
type searched struct {
	bucketID   string
	start, end []byte
	startedAt  int64
	view       *index.View
}

func (s *searched) covers(r catalog.Reading) bool {
	end := r.Key
	if r.Prefix {
		end = keyspace.PrefixEnd(r.Key)
		if len(s.end) > 0 && (len(end) == 0 || bytes.Compare(end, s.end) > 0) {
			return false
		}
	} else if !keyspace.BeforeEnd(end, s.end) {
		return false
	}
	return s.bucketID == r.BucketID && bytes.Compare(r.Key, s.start) >= 0
}

// backupState is what is known of the objects of a backup. An object counts as seen when one
// of the readings of its location was.
type backupState struct {
	// missing and notLookedFor are locations as the record has them.
	missing, notLookedFor []string
	// listed is the least key of a missing object that the own shard lists, nil if none.
	listed []byte
}

// openMissing opens what a missingList reads, to be released. view may be nil.
func (h *shards) openMissing(c *call, d *pb.Destination, view *index.View) (*missingList, error) {
	m := &missingList{backend: c.backend, org: c.org, destination: d}
	var all []*pb.Destination
	if err := c.backend.catalog.View(func(tx *catalog.Tx) (err error) {
		if m.own, err = search(tx, d, view); err != nil {
			return err
		}
		if m.own == nil || tx.CountStrays(c.org, d.Id) > 0 {
			all, err = tx.Destinations(c.org)
		}
		return err
	}); err != nil {
		return nil, err
	}
	for _, other := range all {
		if other.Id == d.Id {
			continue
		}
		view, err := h.views.View(c.context(), other.Id)
		if err != nil {
			continue // not here: what lies there counts as not looked for
		}
		var s *searched
		if err := c.backend.catalog.View(func(tx *catalog.Tx) (err error) {
			s, err = search(tx, other, view)
			return err
		}); err != nil || s == nil {
			view.Release()
			continue
		}
		m.others = append(m.others, s)
	}
	if err := context.Cause(c.context()); err != nil { // the list would lack some
		m.release()
		return nil, err
	}
	return m, nil
}

// search returns the part of the bucket that the view of a destination has, nil without one.
func search(tx *catalog.Tx, d *pb.Destination, view *index.View) (*searched, error) {
	if view == nil {
		return nil, nil //nolint:nilnil // nothing was searched, which is no failure
	}
	g, err := tx.Generation(d.Id)
	if errors.Is(err, catalog.ErrNotFound) || err == nil && g.Revision != d.Revision {
		return nil, nil //nolint:nilnil // as above
	}
	if err != nil {
		return nil, err
	}
	s := &searched{bucketID: catalog.BucketID(d), startedAt: g.StartedAt, view: view}
	s.start, s.end = catalog.KeySpace(d)
	return s, nil
}

// release releases the shards of other destinations.
func (m *missingList) release() {
	for _, s := range m.others {
		s.view.Release()
	}
}

// state looks up the objects of a record.
func (m *missingList) state(tx *catalog.Tx, b *pb.Backup) (s backupState, err error) {
	for _, o := range tx.Objects(m.destination, b) {
		primary := o.Readings[0]
		own := m.own != nil && m.own.covers(primary)
		// A folder can begin in one segment, which lists it, and have its files in the next.
		if seen, err := m.sees(o); err != nil {
			return s, err
		} else if seen {
			continue
		}
		if own {
			listed, err := m.own.view.ListsMissing(primary.Key, []byte(b.Id))
			if err != nil {
				return s, err
			}
			if listed && (s.listed == nil || bytes.Compare(primary.Key, s.listed) < 0) {
				s.listed = primary.Key
			}
			if listed || b.CreatedAt < m.own.startedAt {
				s.missing = append(s.missing, string(o.Location))
			}
			continue // a record that is younger than the scan is not missed yet
		}
		if m.isMissingElsewhere(primary, b.CreatedAt) {
			s.missing = append(s.missing, string(o.Location))
		} else {
			s.notLookedFor = append(s.notLookedFor, string(o.Location))
		}
	}
	return s, nil
}

// sees reports whether one of the readings of an object is in an index.
func (m *missingList) sees(o catalog.Object) (bool, error) {
	for _, r := range o.Readings {
		for _, s := range m.searched() {
			if s.bucketID != r.BucketID {
				continue
			}
			if seen, err := s.view.Sees(r.Key, r.Prefix); seen || err != nil {
				return seen, err
			}
		}
	}
	return false, nil
}

// isMissingElsewhere reports whether another destination has looked where an object should be.
func (m *missingList) isMissingElsewhere(r catalog.Reading, createdAt int64) bool {
	for _, s := range m.others {
		if s.covers(r) && createdAt < s.startedAt {
			return true
		}
	}
	return false
}

func (m *missingList) searched() []*searched {
	if m.own == nil {
		return m.others
	}
	return append([]*searched{m.own}, m.others...)
}

// A cursor of the list begins with one of these.
const (
	inMissing = 'm' // the objects that the own shard lists as missing
	inStrays  = 's' // the records with an object elsewhere, by id
)

// page implements backupPage: the backups that the own shard lists first, then those with an
// object that it does not cover.
func (m *missingList) page(tx *catalog.Tx, cursor []byte, limit int) (list []listedBackup, next []byte, err error) {
	phase := byte(inMissing)
	if len(cursor) > 0 {
		phase, cursor = cursor[0], cursor[1:]
	}
	switch {
	case phase == inMissing && m.own == nil:
		phase = inStrays
	case phase == inMissing:
		return m.missing(tx, cursor, limit)
	}
	if phase != inStrays {
		return nil, nil, invalidField("cursor", invalidCursor)
	}
	return m.strays(tx, string(cursor), limit)
}

func (m *missingList) missing(tx *catalog.Tx, cursor []byte, limit int) (list []listedBackup, next []byte, err error) {
	missing, next, err := m.own.view.Missing(m.org, cursor, limit)
	if errors.Is(err, index.ErrInvalid) {
		return nil, nil, invalidField("cursor", invalidCursor)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, o := range missing {
		b, err := tx.Backup(m.org, string(o.BackupID))
		if errors.Is(err, catalog.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		s, err := m.state(tx, b)
		if err != nil {
			return nil, nil, err
		}
		if bytes.Equal(s.listed, o.Path) { // else another object of the backup lists it
			list = append(list, listedBackup{record: b, backupState: s})
		}
	}
	if next != nil {
		return list, append([]byte{inMissing}, next...), nil
	}
	if room := limit - len(list); room > 0 {
		more, next, err := m.strays(tx, "", room)
		return append(list, more...), next, err
	}
	if first, err := tx.Strays(m.org, m.destination.Id, "", 1); len(first) == 0 || err != nil {
		return list, nil, err
	}
	return list, []byte{inStrays}, nil
}

// strays returns records with an object that is not in the own shard; before the first sync,
// all records.
func (m *missingList) strays(tx *catalog.Tx, after string, limit int) (list []listedBackup, next []byte, err error) {
	read := tx.Strays
	if m.own == nil {
		read = tx.Backups
	}
	records, err := read(m.org, m.destination.Id, after, limit+1)
	if err != nil {
		return nil, nil, err
	}
	if len(records) > limit {
		records = records[:limit]
		next = append([]byte{inStrays}, records[limit-1].Id...)
	}
	for _, b := range records {
		s, err := m.state(tx, b)
		if err != nil {
			return nil, nil, err
		}
		if s.listed == nil && len(s.missing)+len(s.notLookedFor) > 0 {
			list = append(list, listedBackup{record: b, backupState: s})
		}
	}
	return list, next, nil
}

// totals sums up the whole list. There may be as many backups as records, so each page has a
// separate transaction.
func (m *missingList) totals() (n backupTotals, err error) {
	for cursor := []byte(nil); ; {
		err := m.backend.catalog.View(func(tx *catalog.Tx) error {
			list, next, err := m.page(tx, cursor, fileBatch)
			for _, b := range list {
				n.Count++
				n.Size += uint64(max(b.record.Size, 0))
				if len(b.missing) > 0 {
					n.Missing++
				} else {
					n.NotLookedFor++
				}
			}
			cursor = next
			return err
		})
		if cursor == nil || err != nil {
			return n, err
		}
	}
}
