package catalog

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
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
	tombstones   map[owned]*pb.Destination
	written      map[owned]set // by configuration: bucket identity, NUL, prefix
	tokens       map[string]*pb.Token
	syncs        map[string]*pb.Sync
	segments     map[string][]*pb.Segment
	generations  map[string]*pb.Generation
	holders      map[string]set // by destination: node, NUL, generation
	intents      map[owned]*pb.Intent
	begun        map[owned]*pb.BeginDelete // as long as the intent is open
	audits       map[owned]*pb.Audit
	answers      map[owned]*pb.Answer
	changes      map[owned]uint64 // by destination; none until they are counted
	feeds        map[string]*feedModel
	trail        map[string][]*pb.AuditEntry // by organization, in order of id
}

type (
	owned struct{ org, id string }
	set   map[string]bool
)

func newModel() *model {
	return &model{
		destinations: map[string]*pb.Destination{}, projects: map[owned]*pb.Project{}, backups: map[owned]*pb.Backup{},
		schedules: map[owned]*pb.Schedule{}, pitrs: map[owned]*pb.Pitr{}, homes: map[owned]set{}, tombstones: map[owned]*pb.Destination{}, written: map[owned]set{},
		tokens: map[string]*pb.Token{}, syncs: map[string]*pb.Sync{}, segments: map[string][]*pb.Segment{}, generations: map[string]*pb.Generation{},
		holders: map[string]set{}, intents: map[owned]*pb.Intent{}, begun: map[owned]*pb.BeginDelete{},
		audits: map[owned]*pb.Audit{}, answers: map[owned]*pb.Answer{},
		changes: map[owned]uint64{}, feeds: map[string]*feedModel{}, trail: map[string][]*pb.AuditEntry{},
	}
}

func (m *model) destination(org, id string) *pb.Destination {
	if d := m.destinations[id]; d != nil && d.Org == org {
		return d
	}
	return nil
}

// known returns a destination or its tombstone.
func (m *model) known(org, id string) *pb.Destination {
	if d := m.destination(org, id); d != nil {
		return d
	}
	return m.tombstones[owned{org, id}]
}

// placesOf returns where a destination has lain, by revision.
func placesOf(d *pb.Destination) map[uint64]*pb.Destination {
	all := map[uint64]*pb.Destination{d.Revision: d}
	for _, p := range d.Places {
		all[p.Revision] = &pb.Destination{Type: p.Type, Bucket: p.Bucket, Path: p.Path, Region: p.Region, Endpoint: p.Endpoint}
	}
	return all
}

// strays derives the ids of the records of a destination with an object that no scan of it
// looks for.
func (m *model) strays(d *pb.Destination) (ids []string) {
	for who, b := range m.backups {
		if who.org != d.Org || b.StorageId != d.Id {
			continue
		}
		homes := m.homes[owned{d.Org, d.Id}]
		then, known := placesOf(d)[b.Revision]
		stray := known && BucketID(then) != BucketID(d) || !known && (len(homes) != 1 || !homes[BucketID(d)])
		for _, key := range append([][]byte{b.StoragePath}, b.Files...) {
			stray = stray || len(key) > 0 && d.Path != "" && !strings.HasPrefix(string(key), d.Path+"/")
		}
		if stray {
			ids = append(ids, b.Id)
		}
	}
	slices.Sort(ids)
	return ids
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
				all[bucketID][linkString(LinkPath, m.stemRule(who.org, b), b.StoragePath, who.org, b.Id, b.StorageId)] = true
			}
			for _, f := range b.Files {
				all[bucketID][linkString(LinkFile, keyspace.FirstDot, f, who.org, b.Id, b.StorageId)] = true
			}
		}
	}
	return all
}

func linkString(kind LinkKind, rule keyspace.StemRule, path []byte, org, id, storage string) string {
	return strings.Join([]string{string(keyspace.Stem(path)), string(rune('0' + kind)), rule.String(), string(path), org, id, storage}, "|")
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

// apply carries out one command and returns the result that it must have,
// without messages.
func (m *model) apply(msg proto.Message) *pb.Result {
	switch c := proto.Clone(msg).(type) {
	case *pb.PutDestination:
		return code(m.putDestination(c), &pb.Result{Id: c.Destination.Id})
	case *pb.DeleteDestination:
		return code(m.deleteDestination(c), nil)
	case *pb.SetVerified:
		return code(m.setFacts(c, func(d *pb.Destination) {
			if d.Verified != c.Verified {
				d.Verified, d.UpdatedAt = c.Verified, c.At
			}
		}), nil)
	case *pb.SetKeyMapping:
		return code(m.setFacts(c, func(d *pb.Destination) { d.KeyMapping = c.Mapping }), nil)
	case *pb.SetConditions:
		return code(m.setFacts(c, func(d *pb.Destination) {
			d.Conditions = &pb.Conditions{Single: c.Single, Batch: c.Batch, ProbedAt: c.At}
		}), nil)
	case *pb.Reseal:
		return code(m.reseal(c), nil)
	case *pb.PutRecords:
		return m.putRecords(c)
	case *pb.DeleteRecords:
		r := &pb.Result{}
		for _, id := range c.Ids {
			if !m.meets(c.Kind, owned{c.Org, id}, c.IfVersion) {
				return code(CodeConflict, nil)
			}
		}
		for _, id := range c.Ids {
			if m.delete(c.Kind, owned{c.Org, id}) {
				r.Deleted++
			}
		}
		m.settle()
		return r
	case *pb.PutToken:
		for id, t := range m.tokens {
			if id != c.Token.Id && bytes.Equal(t.Hash, c.Token.Hash) {
				return code(CodeConflict, nil)
			}
		}
		m.tokens[c.Token.Id] = c.Token
		return &pb.Result{Id: c.Token.Id}
	case *pb.DeleteToken:
		if m.tokens[c.Id] == nil {
			return code(CodeNotFound, nil)
		}
		delete(m.tokens, c.Id)
	case *pb.PutKeyset:
		if !bytes.Equal(m.keyset, c.Replaces) {
			return code(CodeConflict, nil)
		}
		m.keyset = c.Keyset
	case *pb.BeginDelete:
		return m.beginDelete(c)
	case *pb.FinishDelete:
		return m.finishDelete(c)
	case *pb.Migrate:
		return m.migrate(c)
	case *pb.RecordAudit:
		return code(m.recordAudit(c), nil)
	case *pb.SetGuards:
		m.setGuards(c)
	case *pb.StoreAnswer:
		return code(m.storeAnswer(c), nil)
	case *pb.SetHolder:
		m.setHolder(c)
	case *pb.ForgetNode:
		m.forgetNode(c.Node)
	case *pb.StartSync:
		return m.startSync(c)
	default:
		return code(m.applySync(c), nil)
	}
	return &pb.Result{}
}

// code is a refusal, or without a code the result.
func code(code string, r *pb.Result) *pb.Result {
	if code != "" || r == nil {
		return &pb.Result{Code: code}
	}
	return r
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
	if !c.Create && c.BaseUpdatedAt != 0 && (c.BaseUpdatedAt != old.UpdatedAt || d.Reseals != old.Reseals) {
		return CodeConflict
	}
	d.Verified, d.Revision, d.Conditions, d.KeyMapping, d.Reseals, d.Places = false, 1, nil, nil, 0, nil
	tombstone := m.tombstones[owned{d.Org, d.Id}]
	keep := func(old *pb.Destination) {
		d.Places = append(slices.Clone(old.Places), &pb.Place{
			Revision: old.Revision, Type: old.Type, Bucket: old.Bucket, Path: old.Path, Region: old.Region, Endpoint: old.Endpoint,
		})
	}
	if tombstone != nil {
		d.Revision = tombstone.Revision + 1
		keep(tombstone)
	}
	settings := func(d *pb.Destination) string {
		return strings.Join([]string{d.Type, d.Bucket, d.Path, d.Region, d.Endpoint}, "\x00")
	}
	moved := old != nil && settings(d) != settings(old)
	if moved && m.deletingIn(d.Id) {
		return CodeConflict
	}
	if m.linksMore(d.Org, d.Id, d.StemRule) {
		return CodeBeingDeleted
	}
	if n := m.counters(d.Org, d.Id); (old == nil || BucketID(old) != BucketID(d)) && n.Backups+n.Pitr > 0 && len(m.marks(BucketID(d))) > 0 {
		return CodeBeingDeleted
	}
	if old != nil {
		d.CreatedAt, d.Revision = old.CreatedAt, old.Revision
		d.Conditions, d.KeyMapping, d.Reseals, d.Places = old.Conditions, old.KeyMapping, old.Reseals, old.Places
		if moved {
			if c.KeepPlace {
				keep(old)
			}
			d.Revision++
			d.Conditions, d.KeyMapping = nil, nil
			m.forget(old, d.UpdatedAt)
		}
		d.Verified = old.Verified && !moved && maps.EqualFunc(d.Sealed, old.Sealed, bytes.Equal)
	}
	m.destinations[d.Id] = d
	delete(m.tombstones, owned{d.Org, d.Id})
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

// linksMore reports whether records would begin to link files that may be marked, since their
// destination changes its stem rule.
func (m *model) linksMore(org, id string, to pb.StemRule) bool {
	d := m.destination(org, id)
	if d == nil || d.StemRule == to || to != pb.StemRule_FIRST_DOT || m.counters(org, id).Backups == 0 {
		return false
	}
	for who, homes := range m.homes {
		for bucketID := range homes {
			if who.org == org && len(m.marks(bucketID)) > 0 {
				return true
			}
		}
	}
	return false
}

func (m *model) forget(d *pb.Destination, at int64) {
	delete(m.holders, d.Id)
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
	maps.DeleteFunc(m.holders[s.DestinationId], func(key string, _ bool) bool {
		return strings.HasSuffix(key, "\x00"+s.Id) != (status == SyncCompleted)
	})
}

func (m *model) deleteDestination(c *pb.DeleteDestination) string {
	d := m.destination(c.Org, c.Id)
	if d == nil {
		return CodeNotFound
	}
	if n := m.counters(c.Org, c.Id); n.Schedules+n.Pitr > 0 {
		return CodeInUse
	}
	if m.deletingIn(d.Id) {
		return CodeConflict
	}
	if m.linksMore(c.Org, c.Id, pb.StemRule_FIRST_DOT) {
		return CodeBeingDeleted
	}
	m.forget(d, 0)
	maps.DeleteFunc(m.syncs, func(_ string, s *pb.Sync) bool { return s.DestinationId == d.Id })
	delete(m.destinations, d.Id)
	delete(m.changes, owned{d.Org, d.Id})
	if c.At != 0 {
		d.Sealed, d.Masked, d.Conditions, d.KeyMapping, d.Reseals, d.StemRule, d.DeletedAt = nil, nil, nil, nil, 0, 0, c.At
		m.tombstones[owned{d.Org, d.Id}] = d
	}
	m.settle()
	return ""
}

// settle gives up the homes of destinations that hold no records.
func (m *model) settle() {
	maps.DeleteFunc(m.tombstones, func(who owned, _ *pb.Destination) bool { return m.counters(who.org, who.id) == Counters{} })
	for who, homes := range m.homes {
		if m.counters(who.org, who.id).Backups > 0 {
			continue
		}
		maps.DeleteFunc(homes, func(bucketID string, _ bool) bool {
			d := m.known(who.org, who.id)
			return d == nil || BucketID(d) != bucketID
		})
	}
}
