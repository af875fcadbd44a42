package catalog

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

var (
	genOrg     = rapid.SampledFrom([]string{"org1", "org2"})
	genDest    = rapid.SampledFrom([]string{"d1", "d2", "d3"})
	genID      = rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	genSync    = rapid.SampledFrom([]string{"s1", "s2", "s3", "s4", "s5", "s6"})
	genObject  = rapid.SampledFrom([]string{"p/x.backup", "p/x.meta", "p/x", "p/x-1.backup", "q/y.z.gz", "q/\x00.backup", "q/\x00\x01", "q", "q.d/y", "q.d/y.meta", "q.d/y.z.backup", "q.d/y.z.meta", "p/x.backup/1", "q.d/y/z.meta", ".", "é/ü.auth"})
	genBound   = rapid.SampledFrom([]string{"", "p/", "p/m", "p0", "q/"})
	genIntent  = rapid.SampledFrom([]string{"i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8", "i9"})
	genNode    = rapid.SampledFrom([]string{"n1", "n2"})
	genKey     = rapid.SampledFrom([]string{"k1", "k2"})
	genTime    = rapid.SampledFrom([]int64{0, 7, answerTTL, answerTTL + 7, 2*answerTTL + 8})
	genInt     = rapid.Int64Range(0, 50)
	genStorage = rapid.Custom(func(t *rapid.T) *pb.Destination {
		return &pb.Destination{
			Org: genOrg.Draw(t, "org"), Id: genDest.Draw(t, "id"), Name: "n",
			Type:   rapid.SampledFrom([]string{TypeS3, TypeGCS, TypeFirebase, TypeSpaces}).Draw(t, "type"),
			Bucket: "bucket", Path: rapid.SampledFrom([]string{"", "p"}).Draw(t, "path"),
			Sealed:    map[string][]byte{"k": []byte(genID.Draw(t, "sealed")), "l": {1}},
			StemRule:  rapid.SampledFrom([]pb.StemRule{pb.StemRule_FIRST_DOT, pb.StemRule_KNOWN_SUFFIX}).Draw(t, "stem rule"),
			CreatedAt: genInt.Draw(t, "created"), UpdatedAt: genInt.Draw(t, "updated"),
		}
	})
	genRecord = rapid.Custom(func(t *rapid.T) *pb.Record {
		id, storage := genID.Draw(t, "id"), genDest.Draw(t, "storage")
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			return &pb.Record{Kind: &pb.Record_Project{Project: &pb.Project{Id: id, Name: "n"}}}
		case 1:
			return &pb.Record{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Id: id, StorageId: storage, Enabled: true}}}
		case 2:
			prefix := rapid.SampledFrom([]string{"p/", "pitr/", "pitr\x00", ""}).Draw(t, "prefix")
			return &pb.Record{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: id, StorageId: storage, Prefix: []byte(prefix)}}}
		}
		b := &pb.Backup{Id: id, StorageId: storage, Status: "completed", Size: genInt.Draw(t, "size") - 2}
		b.Revision, b.CreatedAt = rapid.Uint64Range(0, 3).Draw(t, "revision"), rapid.Int64Range(0, 1).Draw(t, "created")
		if rapid.Bool().Draw(t, "has path") {
			b.StoragePath = []byte(genObject.Draw(t, "path"))
		}
		for _, f := range rapid.SliceOfN(genObject, 0, 3).Draw(t, "files") {
			b.Files = append(b.Files, []byte(f))
		}
		return &pb.Record{Kind: &pb.Record_Backup{Backup: b}}
	})
)

// genCommand draws a command that often makes sense in the state of m, so that the
// rare orders (seal, seal, promote) are not left to luck. Small numbers come more often.
func genCommand(t *rapid.T, m *model) proto.Message {
	if len(m.destinations) == 0 || len(m.destinations) < len(allDests) && rapid.IntRange(0, 9).Draw(t, "more") == 9 {
		return &pb.PutDestination{Destination: genStorage.Draw(t, "destination"), Create: true}
	}
	if len(m.generations) > 0 && rapid.IntRange(0, 5).Draw(t, "held") == 5 {
		return genHolder(t, m)
	}
	who := genTarget(t, m)
	switch rapid.IntRange(0, 16).Draw(t, "command") {
	default:
		records := rapid.SliceOfN(genRecord, 1, 6).Draw(t, "records")
		for _, r := range records {
			r.IfVersion = genCondition(t, m, recordKindName(r), owned{who.org, RecordID(r)})
		}
		return &pb.PutRecords{Org: who.org, Records: records}
	case 1:
		return genBegin(t, m)
	case 2, 3:
		return genSyncStep(t, m)
	case 4:
		return genFinish(t, m)
	case 5:
		kind := rapid.SampledFrom([]string{KindBackup, KindPitr, KindSchedule, KindProject}).Draw(t, "kind")
		ids := rapid.SliceOfN(genID, 1, 3).Draw(t, "ids")
		return &pb.DeleteRecords{Org: who.org, Kind: kind, Ids: ids, IfVersion: genCondition(t, m, kind, owned{who.org, ids[0]})}
	case 6:
		return genMigrate(t, m)
	case 7:
		return genHolder(t, m)
	case 8:
		return genEdit(t, m)
	case 9:
		return genFact(t, m)
	case 10:
		return &pb.StoreAnswer{
			Org: who.org, Key: genKey.Draw(t, "key"), Fingerprint: []byte(genKey.Draw(t, "fingerprint")),
			Status: rapid.Uint32Range(0, 2).Draw(t, "status"), Body: []byte(genID.Draw(t, "body")), At: genTime.Draw(t, "at"),
			Forget: rapid.SliceOfN(genKey, 0, 2).Draw(t, "forget"),
		}
	case 11:
		return &pb.DeleteDestination{Org: who.org, Id: who.id, At: genInt.Draw(t, "at")}
	case 12:
		return &pb.PutToken{Token: &pb.Token{Id: genID.Draw(t, "id"), Org: who.org, Role: string(RoleAdmin), Hash: HashToken(genID.Draw(t, "token"))}}
	case 13:
		return &pb.DeleteToken{Id: genID.Draw(t, "id")}
	case 14:
		m := &pb.PutKeyset{Keyset: []byte(genID.Draw(t, "keyset"))}
		if rapid.Bool().Draw(t, "replaces") {
			m.Replaces = []byte(genID.Draw(t, "old"))
		}
		return m
	case 15:
		return genGuards(t, m)
	case 16:
		return genTrail(t)
	}
}

// genCondition draws a condition on the version of a record, mostly none.
func genCondition(t *rapid.T, m *model, kind string, who owned) string {
	return rapid.SampledFrom([]string{"", "", "", "", "", IfStored, IfNotStored, "another", m.version(kind, who)}).Draw(t, "if version")
}

// genTarget mostly draws a destination that is there.
func genTarget(t *rapid.T, m *model) owned {
	all := sorted(m.destinations, yes[*pb.Destination], byIDOf[*pb.Destination])
	if len(all) == 0 || rapid.IntRange(0, 9).Draw(t, "any") == 9 {
		return owned{genOrg.Draw(t, "org"), genDest.Draw(t, "destination")}
	}
	d := rapid.SampledFrom(all).Draw(t, "target")
	return owned{d.Org, d.Id}
}

// genEdit draws a change of a destination, mostly of one that is there.
func genEdit(t *rapid.T, m *model) *pb.PutDestination {
	c := &pb.PutDestination{Destination: genStorage.Draw(t, "destination"), Create: rapid.IntRange(0, 9).Draw(t, "create") == 9}
	c.KeepPlace = rapid.IntRange(0, 3).Draw(t, "keep place") > 0
	who := genTarget(t, m)
	c.Destination.Org, c.Destination.Id = who.org, who.id
	if old := m.destinations[who.id]; old != nil && rapid.Bool().Draw(t, "base") {
		c.BaseUpdatedAt = old.UpdatedAt
		c.Destination.Reseals = old.Reseals + rapid.Uint64Range(0, 1).Draw(t, "reseals")
	}
	return c
}

// genFact draws what was found out about a destination.
func genFact(t *rapid.T, m *model) proto.Message {
	who, revision, updated := genTarget(t, m), uint64(1), int64(0)
	if d := m.destinations[who.id]; d != nil && rapid.IntRange(0, 3).Draw(t, "old") < 3 {
		revision, updated = d.Revision, d.UpdatedAt
	}
	switch rapid.IntRange(0, 3).Draw(t, "fact") {
	case 0:
		return &pb.SetVerified{Org: who.org, Id: who.id, Verified: true, At: 7, Revision: revision}
	case 1:
		return &pb.SetConditions{Org: who.org, Id: who.id, Revision: revision, Batch: true, At: genInt.Draw(t, "at")}
	case 2:
		return &pb.SetKeyMapping{Org: who.org, Id: who.id, Revision: revision, Mapping: &pb.KeyMapping{DoubleSlash: pb.KeyMapping_FOLDED, ProbedAt: genInt.Draw(t, "at")}}
	}
	return &pb.Reseal{Org: who.org, Id: who.id, Sealed: map[string][]byte{"k": []byte(genID.Draw(t, "sealed")), "l": {2}}, BaseUpdatedAt: updated}
}

// genSyncStep draws what mostly brings a sync on.
func genSyncStep(t *rapid.T, m *model) proto.Message {
	id := genAnySync(t, m)
	switch s := m.syncs[id]; {
	case s == nil || rapid.IntRange(0, 9).Draw(t, "start") == 9:
		who := genTarget(t, m)
		return &pb.StartSync{Org: who.org, DestinationId: who.id, SyncId: id, At: genInt.Draw(t, "at")}
	case rapid.IntRange(0, 9).Draw(t, "fail") == 9:
		return &pb.FinishSync{SyncId: id, Status: SyncFailed, Error: "why", Cause: "denied", At: genInt.Draw(t, "at")}
	case len(m.segments[id]) > 0 && rapid.Bool().Draw(t, "promote"):
		return &pb.PromoteSync{SyncId: id, At: genInt.Draw(t, "at"), Baseline: rapid.Bool().Draw(t, "baseline"), Moved: rapid.Bool().Draw(t, "moved")}
	}
	if have := m.segments[id]; len(have) > 0 && rapid.IntRange(0, 5).Draw(t, "lost") == 0 {
		return &pb.UnsealSegments{SyncId: id, Ids: []string{rapid.SampledFrom(have).Draw(t, "one of them").Id, "unknown"}}
	}
	return genSeal(t, m, id)
}

// genAnySync mostly draws a running sync.
func genAnySync(t *rapid.T, m *model) string {
	var running []string
	for _, id := range slices.Sorted(maps.Keys(m.syncs)) {
		if m.syncs[id].Status == SyncRunning {
			running = append(running, id)
		}
	}
	if len(running) == 0 {
		return genSync.Draw(t, "sync")
	}
	return rapid.SampledFrom(running).Draw(t, "running sync")
}

// genSeal draws segments: any, or the ones that complete the sync.
func genSeal(t *rapid.T, m *model, id string) *pb.SealSegments {
	c := &pb.SealSegments{SyncId: id}
	s := m.syncs[c.SyncId]
	segment := func(start, end string) {
		c.Segments = append(c.Segments, &pb.Segment{
			Id: fmt.Sprintf("g%q", start), Start: []byte(start), End: []byte(end), Files: 3, Bytes: uint64(genInt.Draw(t, "bytes")), Orphans: 1, Missing: 2,
			ClassifiedAt: rapid.Uint64Range(m.index-min(m.index, 3), m.index).Draw(t, "classified"), Checksum: 9, Node: "n",
		})
	}
	if s == nil || rapid.Bool().Draw(t, "any") {
		for range rapid.IntRange(1, 2).Draw(t, "segments") {
			segment(genBound.Draw(t, "start"), genBound.Draw(t, "end"))
		}
		return c
	}
	middle := string(s.Start) + "m"
	segment(string(s.Start), middle)
	segment(middle, string(s.End))
	return c
}

// genBegin draws the beginning of a deletion: mostly in a destination that is there, and
// now and then one that was begun before.
func genBegin(t *rapid.T, m *model) *pb.BeginDelete {
	if open := sorted(m.begun, yes[*pb.BeginDelete], byIDOf[*pb.BeginDelete]); len(open) > 0 && rapid.IntRange(0, 5).Draw(t, "again") == 0 {
		c := proto.CloneOf(rapid.SampledFrom(open).Draw(t, "open"))
		c.At += rapid.Int64Range(0, 1).Draw(t, "later")
		return c
	}
	who := genTarget(t, m)
	c := &pb.BeginDelete{
		Org: who.org, DestinationId: who.id, Id: genIntent.Draw(t, "intent"),
		Who: "w", Node: genNode.Draw(t, "node"), At: genInt.Draw(t, "at"), Revision: 1, BelowNamed: rapid.Bool().Draw(t, "below named"),
	}
	if d := m.destinations[c.DestinationId]; d != nil && rapid.IntRange(0, 9).Draw(t, "old") < 9 {
		c.Revision = d.Revision
	}
	if rapid.Bool().Draw(t, "with backups") {
		c.BackupIds = rapid.SliceOfN(genID, 1, 3).Draw(t, "backups")
	}
	for _, path := range rapid.SliceOfN(genObject, 0, 5).Draw(t, "paths") {
		c.Paths = append(c.Paths, []byte(path))
	}
	if rapid.IntRange(0, 20).Draw(t, "bad path") == 0 {
		c.Paths = append(c.Paths, nil, make([]byte, maxKey+1))
	}
	return c
}

// genFinish mostly draws the end of a deletion that is open.
func genFinish(t *rapid.T, m *model) *pb.FinishDelete {
	c := &pb.FinishDelete{Org: genOrg.Draw(t, "org"), Id: genIntent.Draw(t, "intent"), At: genInt.Draw(t, "at")}
	open := sorted(m.intents, yes[*pb.Intent], byIDOf[*pb.Intent])
	if len(open) == 0 {
		return c
	}
	n := rapid.SampledFrom(open).Draw(t, "open")
	c.Org, c.Id = n.Org, n.Id
	for _, path := range n.Paths {
		if rapid.IntRange(0, 4).Draw(t, "tell") > 0 {
			c.Outcomes = append(c.Outcomes, &pb.Outcome{Path: path, Deleted: rapid.Bool().Draw(t, "deleted"), Size: 3, Reason: "r", Held: rapid.IntRange(0, 3).Draw(t, "held") == 0})
		}
	}
	for _, id := range n.BackupIds {
		if rapid.Bool().Draw(t, "with backup") {
			c.DeleteBackups = append(c.DeleteBackups, id)
		}
	}
	switch rapid.IntRange(0, 20).Draw(t, "bad") {
	case 0:
		c.Outcomes = append(c.Outcomes, &pb.Outcome{Path: []byte("other"), Deleted: true})
	case 1:
		c.DeleteBackups = append(c.DeleteBackups, "other")
	}
	return c
}

// genMigrate mostly draws a destination that has something to migrate.
func genMigrate(t *rapid.T, m *model) *pb.Migrate {
	c := &pb.Migrate{Org: genOrg.Draw(t, "org"), FromId: genDest.Draw(t, "from"), ToId: genDest.Draw(t, "to"), At: 1}
	var used []owned
	for _, d := range sorted(m.destinations, yes[*pb.Destination], byIDOf[*pb.Destination]) {
		if n := m.counters(d.Org, d.Id); n.Schedules+n.Pitr > 0 {
			used = append(used, owned{d.Org, d.Id})
		}
	}
	if len(used) > 0 {
		from := rapid.SampledFrom(used).Draw(t, "used")
		c.Org, c.FromId = from.org, from.id
	}
	return c
}

// genHolder draws what nodes say about the shards that they hold.
func genHolder(t *rapid.T, m *model) proto.Message {
	node := genNode.Draw(t, "node")
	if rapid.IntRange(0, 5).Draw(t, "gone") == 5 {
		return &pb.ForgetNode{Node: node}
	}
	c := &pb.SetHolder{Node: node, DestinationId: genDest.Draw(t, "destination"), Whole: rapid.IntRange(0, 3).Draw(t, "lost") < 3}
	c.Generation = genSync.Draw(t, "generation")
	if all := sorted(m.generations, yes[*pb.Generation], byIDOf[*pb.Generation]); len(all) > 0 && rapid.Bool().Draw(t, "promoted") {
		g := rapid.SampledFrom(all).Draw(t, "one")
		c.DestinationId, c.Generation = g.DestinationId, g.Id
	}
	return c
}

// genOnce draws whether a command is to take effect once.
func genOnce(t *rapid.T) *pb.Once {
	if rapid.IntRange(0, 4).Draw(t, "once") > 0 {
		return nil
	}
	return &pb.Once{
		Org: genOrg.Draw(t, "org"), Key: genKey.Draw(t, "key"), Fingerprint: []byte(genKey.Draw(t, "fingerprint")), At: genTime.Draw(t, "at"),
	}
}
