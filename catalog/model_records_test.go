package catalog

import (
	"slices"
	"strings"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// The part of the model that knows records.

func (m *model) putRecords(c *pb.PutRecords) *pb.Result {
	r := &pb.Result{}
	for i, record := range c.Records {
		if code := m.put(c.Org, record); code != "" {
			r.Rejected = append(r.Rejected, &pb.Rejection{Index: uint32(i), Code: code})
		} else {
			m.feed(c.Org).stored(recordKindName(record), RecordID(record))
		}
	}
	m.settle()
	return r
}

func (m *model) put(org string, r *pb.Record) (code string) {
	if !m.meets(recordKindName(r), owned{org, RecordID(r)}, r.IfVersion) {
		return CodeConflict
	}
	switch k := r.Kind.(type) {
	case *pb.Record_Project:
		k.Project.Org = org
		m.projects[owned{org, k.Project.Id}] = k.Project
	case *pb.Record_Backup:
		return m.putBackup(org, k.Backup)
	case *pb.Record_Schedule:
		if m.known(org, k.Schedule.StorageId) == nil {
			return CodeNotFound
		}
		k.Schedule.Org = org
		m.schedules[owned{org, k.Schedule.Id}] = k.Schedule
	case *pb.Record_Pitr:
		return m.putPitr(org, k.Pitr)
	}
	return ""
}

func (m *model) putBackup(org string, b *pb.Backup) (code string) {
	if b.Size < 0 {
		return CodeInvalid
	}
	if m.known(org, b.StorageId) == nil {
		return CodeNotFound
	}
	for bucketID := range m.homes[owned{org, b.StorageId}] {
		for path := range m.marks(bucketID) {
			if links(b, path) {
				return CodeBeingDeleted
			}
		}
		for _, n := range m.intents {
			if n.BelowNamed && n.BucketId == bucketID && slices.ContainsFunc(n.Paths, func(p []byte) bool { return namesFolderOf(b, string(p)) }) {
				return CodeBeingDeleted
			}
		}
	}
	b.Org = org
	if old := m.backups[owned{org, b.Id}]; old != nil && old.StorageId == b.StorageId && old.CreatedAt == b.CreatedAt &&
		(old.Revision != 0 || len(m.homes[owned{org, b.StorageId}]) > 1) {
		b.Revision = old.Revision
	}
	m.count(m.backups[owned{org, b.Id}])
	m.count(b)
	m.backups[owned{org, b.Id}] = b
	return ""
}

// stemRule returns the rule by which a record links files.
func (m *model) stemRule(org string, b *pb.Backup) keyspace.StemRule {
	if d := m.destination(org, b.StorageId); d != nil && d.StemRule == pb.StemRule_KNOWN_SUFFIX {
		return keyspace.KnownSuffix
	}
	return keyspace.FirstDot
}

// needs reports whether a record needs a file by the rule of its destination.
func (m *model) needs(org string, b *pb.Backup, path string) bool {
	rule := m.stemRule(org, b)
	return len(b.StoragePath) > 0 && string(rule.Stem(b.StoragePath)) == string(rule.Stem([]byte(path))) ||
		slices.ContainsFunc(b.Files, func(f []byte) bool { return string(f) == path })
}

// links reports whether a record may need a file, whatever the rule.
func links(b *pb.Backup, path string) bool {
	return len(b.StoragePath) > 0 && string(keyspace.Stem(b.StoragePath)) == string(keyspace.Stem([]byte(path))) ||
		slices.ContainsFunc(b.Files, func(f []byte) bool { return string(f) == path })
}

// namesFolderOf reports whether a file lies below what a record names.
func namesFolderOf(b *pb.Backup, path string) bool {
	return slices.ContainsFunc(append([][]byte{b.StoragePath}, b.Files...), func(name []byte) bool {
		return len(name) > 0 && strings.HasPrefix(path, string(name)+"/")
	})
}

func (m *model) putPitr(org string, p *pb.Pitr) (code string) {
	d := m.known(org, p.StorageId)
	switch {
	case len(p.Prefix) == 0:
		return CodeInvalid
	case d == nil:
		return CodeNotFound
	case m.marksUnder(BucketID(d), p.Prefix):
		return CodeBeingDeleted
	}
	p.Org = org
	who := owned{org, p.Id}
	m.pitrs[who] = p
	if m.written[who] == nil {
		m.written[who] = set{}
	}
	m.written[who][BucketID(d)+"\x00"+string(p.Prefix)] = true
	return ""
}

func (m *model) marksUnder(bucketID string, prefix []byte) bool {
	for path := range m.marks(bucketID) {
		if strings.HasPrefix(path, string(prefix)) {
			return true
		}
	}
	return false
}

func (m *model) migrate(c *pb.Migrate) *pb.Result {
	from, to := m.destination(c.Org, c.FromId), m.destination(c.Org, c.ToId)
	if c.FromId == c.ToId {
		return code(CodeInvalid, nil)
	}
	if from == nil || to == nil {
		return code(CodeNotFound, nil)
	}
	r := &pb.Result{}
	for who, p := range m.pitrs {
		if who.org == c.Org && p.StorageId == from.Id && m.marksUnder(BucketID(to), p.Prefix) {
			return code(CodeBeingDeleted, nil)
		}
	}
	for who, s := range m.schedules {
		if who.org == c.Org && s.StorageId == from.Id {
			s.StorageId = to.Id
			r.Schedules++
		}
	}
	for who, p := range m.pitrs {
		if who.org == c.Org && p.StorageId == from.Id {
			p.StorageId = to.Id
			m.written[who][BucketID(to)+"\x00"+string(p.Prefix)] = true
			r.Pitrs++
		}
	}
	return r
}

// version returns the version of the stored record, empty without one.
func (m *model) version(kind string, who owned) string {
	switch kind {
	case KindProject:
		if p := m.projects[who]; p != nil {
			return RecordVersion(&pb.Record{Kind: &pb.Record_Project{Project: p}})
		}
	case KindBackup:
		if b := m.backups[who]; b != nil {
			return RecordVersion(&pb.Record{Kind: &pb.Record_Backup{Backup: b}})
		}
	case KindSchedule:
		if s := m.schedules[who]; s != nil {
			return RecordVersion(&pb.Record{Kind: &pb.Record_Schedule{Schedule: s}})
		}
	case KindPitr:
		if p := m.pitrs[who]; p != nil {
			return RecordVersion(&pb.Record{Kind: &pb.Record_Pitr{Pitr: p}})
		}
	}
	return ""
}

// meets reports whether the stored record meets a condition.
func (m *model) meets(kind string, who owned, want string) bool {
	switch version := m.version(kind, who); want {
	case "":
		return true
	case IfStored:
		return version != ""
	case IfNotStored:
		return version == ""
	default:
		return version == want
	}
}

func (m *model) delete(kind string, who owned) (deleted bool) {
	switch kind {
	case KindProject:
		return remove(m.projects, who)
	case KindBackup:
		m.count(m.backups[who])
		return remove(m.backups, who)
	case KindSchedule:
		return remove(m.schedules, who)
	}
	delete(m.written, who)
	return remove(m.pitrs, who)
}

func remove[M any](all map[owned]M, who owned) bool {
	_, there := all[who]
	delete(all, who)
	return there
}
