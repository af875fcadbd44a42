package catalog

import (
	"bytes"
	"maps"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// model is the catalog as one would write it without caring for speed: plain
// maps, and everything that can be derived is derived each time.
type model struct {
	index        uint64
	keyset       []byte
	destinations map[string]*pb.Destination
	projects     map[owned]*pb.Project
	backups      map[owned]*pb.Backup
	schedules    map[owned]*pb.Schedule
	pitrs        map[owned]*pb.Pitr
	homes        map[owned]set
	written      map[owned]set // by configuration: bucket identity, NUL, prefix
	tokens       map[string]*pb.Token
	syncs        map[string]*pb.Sync
	segments     map[string][]*pb.Segment
	generations  map[string]*pb.Generation
}

type (
	owned struct{ org, id string }
	set   map[string]bool
)

func newModel() *model {
	return &model{
		destinations: map[string]*pb.Destination{}, projects: map[owned]*pb.Project{}, backups: map[owned]*pb.Backup{},
		schedules: map[owned]*pb.Schedule{}, pitrs: map[owned]*pb.Pitr{}, homes: map[owned]set{}, written: map[owned]set{},
		tokens: map[string]*pb.Token{}, syncs: map[string]*pb.Sync{}, segments: map[string][]*pb.Segment{}, generations: map[string]*pb.Generation{},
	}
}

func (m *model) destination(org, id string) *pb.Destination {
	if d := m.destinations[id]; d != nil && d.Org == org {
		return d
	}
	return nil
}

// links derives the links of every bucket, as strings.
func (m *model) links() map[string]set {
	all := map[string]set{}
	for who, b := range m.backups {
		for bucketID := range m.homes[owned{who.org, b.StorageId}] {
			if all[bucketID] == nil {
				all[bucketID] = set{}
			}
			if len(b.StoragePath) > 0 {
				all[bucketID][linkString(LinkPath, b.StoragePath, who.org, b.Id, b.StorageId)] = true
			}
			for _, f := range b.Files {
				all[bucketID][linkString(LinkFile, f, who.org, b.Id, b.StorageId)] = true
			}
		}
	}
	return all
}

func linkString(kind LinkKind, path []byte, org, id, storage string) string {
	return strings.Join([]string{string(Stem(path)), string(rune('0' + kind)), string(path), org, id, storage}, "|")
}

func (m *model) prefixes() map[string]set {
	all := map[string]set{}
	for _, w := range m.written {
		for k := range w {
			bucketID, prefix, _ := strings.Cut(k, "\x00")
			if all[bucketID] == nil {
				all[bucketID] = set{}
			}
			all[bucketID][prefix] = true
		}
	}
	return all
}

func (m *model) counters(org, dest string) (n Counters) {
	for who, b := range m.backups {
		if who.org == org && b.StorageId == dest {
			n.Backups++
			n.BackupBytes += uint64(b.Size)
		}
	}
	for who, s := range m.schedules {
		if who.org == org && s.StorageId == dest {
			n.Schedules++
		}
	}
	for who, p := range m.pitrs {
		if who.org == org && p.StorageId == dest {
			n.Pitr++
		}
	}
	return n
}

func (m *model) running(dest string) *pb.Sync {
	for _, s := range m.syncs {
		if s.DestinationId == dest && s.Status == SyncRunning {
			return s
		}
	}
	return nil
}

// need is the index after which deltas of a bucket must be kept.
func (m *model) need(bucketID string) (index uint64, needed bool) {
	for id, d := range m.destinations {
		if BucketID(d) != bucketID {
			continue
		}
		var all []uint64
		if g := m.generations[id]; g != nil {
			all = append(all, g.ClassifiedAt)
		}
		if s := m.running(id); s != nil {
			all = append(all, s.StartedIndex)
		}
		for _, n := range all {
			if !needed || n < index {
				index, needed = n, true
			}
		}
	}
	return index, needed
}

// apply carries out one command and gives the code that it must be answered with.
func (m *model) apply(msg proto.Message) (code string, rejected int) {
	m.index++
	switch c := proto.Clone(msg).(type) {
	case *pb.PutDestination:
		return m.putDestination(c), 0
	case *pb.DeleteDestination:
		return m.deleteDestination(c), 0
	case *pb.SetVerified:
		d := m.destination(c.Org, c.Id)
		if d == nil {
			return CodeNotFound, 0
		}
		if d.Revision != c.Revision {
			return CodeConflict, 0
		}
		if d.Verified != c.Verified {
			d.Verified, d.UpdatedAt = c.Verified, c.At
		}
	case *pb.PutRecords:
		for _, r := range c.Records {
			if !m.put(c.Org, r) {
				rejected++
			}
		}
		m.settle()
	case *pb.DeleteRecords:
		for _, id := range c.Ids {
			m.delete(c.Kind, owned{c.Org, id})
		}
		m.settle()
	case *pb.PutToken:
		for id, t := range m.tokens {
			if id != c.Token.Id && bytes.Equal(t.Hash, c.Token.Hash) {
				return CodeConflict, 0
			}
		}
		m.tokens[c.Token.Id] = c.Token
	case *pb.DeleteToken:
		if m.tokens[c.Id] == nil {
			return CodeNotFound, 0
		}
		delete(m.tokens, c.Id)
	case *pb.PutKeyset:
		if !bytes.Equal(m.keyset, c.Replaces) {
			return CodeConflict, 0
		}
		m.keyset = c.Keyset
	default:
		return m.applySync(c), 0
	}
	return "", rejected
}

func (m *model) putDestination(c *pb.PutDestination) string {
	d := c.Destination
	old := m.destinations[d.Id]
	if c.Create && old != nil {
		return CodeConflict
	}
	if !c.Create && m.destination(d.Org, d.Id) == nil {
		return CodeNotFound
	}
	d.Verified, d.Revision = false, 1
	if old != nil {
		d.CreatedAt, d.Revision = old.CreatedAt, old.Revision
		settings := func(d *pb.Destination) string {
			return strings.Join([]string{d.Type, d.Bucket, d.Path, d.Region, d.Endpoint}, "\x00")
		}
		moved := settings(d) != settings(old)
		if moved {
			d.Revision++
			m.forget(old, d.UpdatedAt)
		}
		d.Verified = old.Verified && !moved && maps.EqualFunc(d.Sealed, old.Sealed, bytes.Equal)
	}
	m.destinations[d.Id] = d
	who := owned{d.Org, d.Id}
	if m.homes[who] == nil {
		m.homes[who] = set{}
	}
	m.homes[who][BucketID(d)] = true
	for p, config := range m.pitrs {
		if p.org == d.Org && config.StorageId == d.Id {
			m.written[p][BucketID(d)+"\x00"+string(config.Prefix)] = true
		}
	}
	m.settle()
	return ""
}

func (m *model) forget(d *pb.Destination, at int64) {
	if g := m.generations[d.Id]; g != nil {
		delete(m.segments, g.Id)
		delete(m.generations, d.Id)
	}
	if s := m.running(d.Id); s != nil {
		m.end(s, SyncCancelled, "the destination now lies elsewhere", at)
	}
}

func (m *model) end(s *pb.Sync, status, why string, at int64) {
	s.Status, s.Error, s.FinishedAt = status, why, at
	if status != SyncCompleted {
		delete(m.segments, s.Id)
	}
}

func (m *model) deleteDestination(c *pb.DeleteDestination) string {
	d := m.destination(c.Org, c.Id)
	if d == nil {
		return CodeNotFound
	}
	if n := m.counters(c.Org, c.Id); n.Schedules+n.Pitr > 0 {
		return CodeInUse
	}
	m.forget(d, 0)
	maps.DeleteFunc(m.syncs, func(_ string, s *pb.Sync) bool { return s.DestinationId == d.Id })
	delete(m.destinations, d.Id)
	m.settle()
	return ""
}

// settle gives up the homes of destinations that hold no records.
func (m *model) settle() {
	for who, homes := range m.homes {
		if m.counters(who.org, who.id).Backups > 0 {
			continue
		}
		maps.DeleteFunc(homes, func(bucketID string, _ bool) bool {
			d := m.destination(who.org, who.id)
			return d == nil || BucketID(d) != bucketID
		})
	}
}

func (m *model) put(org string, r *pb.Record) bool {
	switch k := r.Kind.(type) {
	case *pb.Record_Project:
		k.Project.Org = org
		m.projects[owned{org, k.Project.Id}] = k.Project
	case *pb.Record_Backup:
		if m.destination(org, k.Backup.StorageId) == nil || k.Backup.Size < 0 {
			return false
		}
		k.Backup.Org = org
		m.backups[owned{org, k.Backup.Id}] = k.Backup
	case *pb.Record_Schedule:
		if m.destination(org, k.Schedule.StorageId) == nil {
			return false
		}
		k.Schedule.Org = org
		m.schedules[owned{org, k.Schedule.Id}] = k.Schedule
	case *pb.Record_Pitr:
		d := m.destination(org, k.Pitr.StorageId)
		if d == nil || len(k.Pitr.Prefix) == 0 {
			return false
		}
		k.Pitr.Org = org
		who := owned{org, k.Pitr.Id}
		m.pitrs[who] = k.Pitr
		if m.written[who] == nil {
			m.written[who] = set{}
		}
		m.written[who][BucketID(d)+"\x00"+string(k.Pitr.Prefix)] = true
	}
	return true
}

func (m *model) delete(kind string, who owned) {
	switch kind {
	case KindProject:
		delete(m.projects, who)
	case KindBackup:
		delete(m.backups, who)
	case KindSchedule:
		delete(m.schedules, who)
	case KindPitr:
		delete(m.pitrs, who)
		delete(m.written, who)
	}
}
