package catalog

import (
	"strings"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// storedRecord is a record that lies under its destination.
type storedRecord interface {
	proto.Message
	GetOrg() string
	GetId() string
	GetStorageId() string
}

// scrubRecords reads all records of a kind into m, calls fn for each, and sums up the index
// that leads to them.
func scrubRecords[M storedRecord](s *scrubber, kind recordKind, m M, fn func(homes []string, n *Counters) error) error {
	return s.nested(kind.records, func(name string, b *bbolt.Bucket) error {
		org, destID, _ := strings.Cut(name, "\x00")
		homes, ids, n := homeBuckets(s.tx, org, destID), s.of(idsOf(kind, org)), s.counters[name]
		dest := []byte(destID)
		err := s.each(name, b, func(k, v []byte) error {
			if err := proto.Unmarshal(v, m); err != nil {
				return damaged("the record of %s %q cannot be read (%w)", kind.what, k, err)
			}
			if m.GetOrg() != org || m.GetStorageId() != destID || m.GetId() != string(k) {
				return damaged("the record of %s %q lies in the wrong place", kind.what, k)
			}
			s.expect(ids, k, dest)
			return fn(homes, &n)
		})
		s.counters[name] = n
		return err
	})
}

func idsOf(kind recordKind, org string) string {
	return "the ids of " + kind.what + "s of organization " + org
}

// backups sums up the links that the backup records make.
func (s *scrubber) backups() error {
	seen := map[string]bool{} // several readings of a location may be one link
	var key, value []byte
	r := &pb.Backup{}
	return scrubRecords(s, backupKind(), r, func(homes []string, n *Counters) error {
		n.Backups++
		n.BackupBytes += uint64(r.GetSize()) //nolint:gosec // as in subtract
		clear(seen)
		links := recordLinks(r)
		for _, l := range links {
			key = appendLinkKey(key[:0], l.kind, r.GetOrg(), r.GetId(), l.path)
			for _, bucketID := range l.buckets(homes) {
				if len(links) > 1 {
					place := bucketID + "\x00" + string(key)
					if seen[place] {
						continue
					}
					seen[place] = true
				}
				value = withChecksum(value[:0], linkSeed(bucketID), key, []byte(r.GetStorageId()))
				s.expect(s.of(linksOf(bucketID)), key, value)
			}
		}
		return nil
	})
}

func (s *scrubber) schedules() error {
	return scrubRecords(s, scheduleKind(), &pb.Schedule{}, func(_ []string, n *Counters) error {
		n.Schedules++
		return nil
	})
}

func (s *scrubber) pitrs() error {
	p := &pb.Pitr{}
	return scrubRecords(s, pitrKind(), p, func(_ []string, n *Counters) error {
		n.Pitr++
		d, err := load[pb.Destination](s.tx.bucket(inDestinations), []byte(p.GetStorageId()))
		if err != nil || d == nil {
			return err
		}
		for _, in := range pitrPrefixes(p, BucketID(d)) {
			if s.tx.bucket(inPrefixes).Get(join(in.bucketID, p.GetOrg(), p.GetId(), string(in.prefix))) == nil {
				return damaged("the prefix of PITR configuration %q is missing in its bucket", p.GetId())
			}
		}
		return nil
	})
}

// recordIDs compares the indexes that lead from ids to destinations with the records.
func (s *scrubber) recordIDs() error {
	for _, kind := range []recordKind{backupKind(), scheduleKind(), pitrKind()} {
		if err := s.nested(kind.ids, func(org string, b *bbolt.Bucket) error {
			in := s.of(idsOf(kind, org))
			return s.each(org, b, func(k, v []byte) error {
				s.found(in, k, v)
				return nil
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// storedCounters compares the counters with the records.
func (s *scrubber) storedCounters() error {
	if err := s.each(inCounters, s.tx.bucket(inCounters), func(k, _ []byte) error {
		org, destID, _ := strings.Cut(string(k), "\x00")
		if got, want := loadCounters(s.tx, org, destID), s.counters[string(k)]; got != want {
			return damaged("the counters of storage destination %q are %+v, not %+v", destID, got, want)
		}
		delete(s.counters, string(k))
		return nil
	}); err != nil {
		return err
	}
	for name, n := range s.counters {
		if n != (Counters{}) {
			return damaged("the counters of storage destination %q are missing", name)
		}
	}
	return nil
}
