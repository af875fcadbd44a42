package catalog

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// The part of the model for deletions, stored responses and facts about destinations.

// marks derives the marked paths of a bucket.
func (m *model) marks(bucketID string) set {
	all := set{}
	for _, n := range m.intents {
		for _, path := range n.Paths {
			if n.BucketId == bucketID {
				all[string(path)] = true
			}
		}
	}
	return all
}

// deletingIn reports whether a destination has open intents.
func (m *model) deletingIn(dest string) bool {
	for _, n := range m.intents {
		if n.DestinationId == dest {
			return true
		}
	}
	return false
}

func (m *model) beginDelete(c *pb.BeginDelete) *pb.Result {
	who := owned{c.Org, c.Id}
	if first := m.begun[who]; first != nil {
		if !proto.Equal(first, c) || m.audits[who] != nil {
			return code(CodeConflict, nil)
		}
		return &pb.Result{Rejected: m.intents[who].Rejected}
	}
	d := m.destination(c.Org, c.DestinationId)
	switch {
	case m.audits[who] != nil:
		return code(CodeConflict, nil)
	case d == nil:
		return code(CodeNotFound, nil)
	case d.Revision != c.Revision:
		return code(CodeConflict, nil)
	}
	n := &pb.Intent{
		Org: c.Org, Id: c.Id, DestinationId: d.Id, BucketId: BucketID(d), Who: c.Who, Node: c.Node, At: c.At, Revision: c.Revision, BackupIds: c.BackupIds, BelowNamed: c.BelowNamed,
	}
	for i, path := range c.Paths {
		if code := m.judge(d, c, string(path)); code != "" {
			n.Rejected = append(n.Rejected, &pb.Rejection{Index: uint32(i), Code: code})
		} else {
			n.Paths = append(n.Paths, path)
		}
	}
	if len(n.Paths)+len(n.BackupIds) > 0 {
		m.intents[who], m.begun[who] = n, c
	}
	return &pb.Result{Rejected: n.Rejected}
}

func (m *model) judge(d *pb.Destination, c *pb.BeginDelete, path string) (code string) {
	start, end := KeySpace(d)
	inside := path >= string(start) && (end == nil || path < string(end))
	if path == "" || len(path) > maxKey || len(c.BackupIds) == 0 && !inside {
		return CodeInvalid
	}
	for who, n := range m.intents {
		has := slices.ContainsFunc(n.Paths, func(p []byte) bool { return string(p) == path })
		if has && n.BucketId == BucketID(d) && m.audits[who] == nil {
			return CodeBeingDeleted
		}
	}
	for prefix := range m.prefixes()[BucketID(d)] {
		if strings.HasPrefix(path, prefix) {
			return CodeNotOrphan
		}
	}
	given := len(c.BackupIds) == 0
	for who, b := range m.backups {
		if !m.homes[owned{who.org, b.StorageId}][BucketID(d)] || !m.needs(who.org, b, path) && !(c.BelowNamed && namesFolderOf(b, path)) {
			continue
		}
		if who.org != c.Org || !slices.Contains(c.BackupIds, who.id) {
			return CodeNotOrphan
		}
		given = true
	}
	if !given {
		return CodeInvalid
	}
	return ""
}

func (m *model) finishDelete(c *pb.FinishDelete) *pb.Result {
	who := owned{c.Org, c.Id}
	n := m.intents[who]
	if n == nil {
		return code(CodeConflict, nil)
	}
	first := m.audits[who] == nil
	a := &pb.Audit{Org: n.Org, Id: n.Id, DestinationId: n.DestinationId, BucketId: n.BucketId, Who: n.Who, BegunAt: n.At, FinishedAt: c.At}
	if !first {
		a = proto.CloneOf(m.audits[who])
	}
	told := set{}
	var results []*pb.Outcome
	for _, o := range c.Outcomes {
		isPath := func(p []byte) bool { return bytes.Equal(p, o.Path) }
		if !slices.ContainsFunc(n.Paths, isPath) {
			if slices.ContainsFunc(a.Outcomes, func(o *pb.Outcome) bool { return isPath(o.Path) }) {
				continue // it was released before
			}
			return code(CodeInvalid, nil)
		}
		told[string(o.Path)] = true
		results = append(results, o)
	}
	for _, id := range c.DeleteBackups {
		if !slices.Contains(n.BackupIds, id) && !slices.Contains(a.BackupIds, id) {
			return code(CodeInvalid, nil)
		}
	}
	for _, path := range n.Paths {
		if !told[string(path)] {
			told[string(path)] = true
			results = append(results, &pb.Outcome{Path: path, Reason: "it was not tried"})
		}
	}
	var held [][]byte
	for _, o := range results {
		if o.Held {
			held = append(held, o.Path)
		}
		last := -1
		for i, known := range a.Outcomes {
			if bytes.Equal(known.Path, o.Path) && !first {
				last = i
			}
		}
		switch {
		case last < 0:
			a.Outcomes = append(a.Outcomes, o)
		case a.Outcomes[last].Deleted:
			a.Outcomes[last].Held = o.Held
		default:
			a.Outcomes[last] = o
		}
	}
	removed := 0
	for _, id := range c.DeleteBackups {
		if b := m.backups[owned{c.Org, id}]; b != nil && b.StorageId == n.DestinationId && m.delete(KindBackup, owned{c.Org, id}) {
			a.BackupIds = append(a.BackupIds, id)
			removed++
		}
	}
	if len(held) > 0 {
		left := proto.CloneOf(n)
		left.Paths, left.Rejected = held, nil
		left.BackupIds = slices.DeleteFunc(left.BackupIds, func(id string) bool { return slices.Contains(a.BackupIds, id) })
		m.intents[who] = left
	} else {
		delete(m.intents, who)
		delete(m.begun, who)
	}
	m.audits[who] = a
	m.settle()
	return &pb.Result{Deleted: uint32(removed)}
}

// applyOnce is apply for a command that may have been carried out before.
func (m *model) applyOnce(msg proto.Message, once *pb.Once) *pb.Result {
	m.index++
	if once == nil {
		return m.apply(msg)
	}
	known, refused := m.recall(once)
	switch {
	case refused != "":
		return code(refused, nil)
	case known != nil && known.Result == nil:
		return code(CodeConflict, nil)
	case known != nil:
		return known.Result
	}
	r := m.apply(msg)
	if r.Code == "" {
		m.remember(&pb.Answer{Org: once.Org, Key: once.Key, Fingerprint: once.Fingerprint, At: once.At, Result: r})
	}
	return r
}

func (m *model) storeAnswer(c *pb.StoreAnswer) string {
	a, refused := m.recall(c)
	switch {
	case c.Status == 0:
		return CodeInvalid
	case refused != "":
		return refused
	case a == nil:
		a = &pb.Answer{Org: c.Org, Key: c.Key, Fingerprint: c.Fingerprint, At: c.At}
	case a.Status != 0:
		return ""
	}
	a.Status, a.Body = c.Status, c.Body
	for _, key := range c.Forget {
		delete(m.answers, owned{c.Org, key})
	}
	m.remember(a)
	return ""
}

func (m *model) recall(r onceKey) (known *pb.Answer, refused string) {
	a := m.answers[owned{r.GetOrg(), r.GetKey()}]
	if a == nil || a.At < r.GetAt()-answerTTL {
		return nil, ""
	}
	if !bytes.Equal(a.Fingerprint, r.GetFingerprint()) {
		return nil, CodeConflict
	}
	return a, ""
}

func (m *model) remember(a *pb.Answer) {
	m.answers[owned{a.Org, a.Key}] = a
	old := sorted(m.answers, func(o *pb.Answer) bool { return o.At < a.At-answerTTL }, func(a, b *pb.Answer) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Org, b.Org), cmp.Compare(a.Key, b.Key))
	})
	for _, o := range old[:min(len(old), expiredPerCommand)] {
		delete(m.answers, owned{o.Org, o.Key})
	}
}

// setFacts changes a destination as long as it is the one that was looked at.
func (m *model) setFacts(c interface {
	GetOrg() string
	GetId() string
	GetRevision() uint64
}, change func(*pb.Destination),
) string {
	d := m.destination(c.GetOrg(), c.GetId())
	if d == nil {
		return CodeNotFound
	}
	if d.Revision != c.GetRevision() {
		return CodeConflict
	}
	change(d)
	return ""
}

func (m *model) reseal(c *pb.Reseal) string {
	d := m.destination(c.Org, c.Id)
	if d == nil {
		return CodeNotFound
	}
	if d.UpdatedAt != c.BaseUpdatedAt {
		return CodeConflict
	}
	d.Sealed = c.Sealed
	d.Reseals++
	return ""
}

func (m *model) setHolder(c *pb.SetHolder) {
	key := c.Node + "\x00" + c.Generation
	if !c.Whole {
		delete(m.holders[c.DestinationId], key)
	} else if g, s := m.generations[c.DestinationId], m.running(c.DestinationId); g != nil && g.Id == c.Generation || s != nil && s.Id == c.Generation {
		if m.holders[c.DestinationId] == nil {
			m.holders[c.DestinationId] = set{}
		}
		m.holders[c.DestinationId][key] = true
	}
}

func (m *model) forgetNode(node string) {
	for _, all := range m.holders {
		maps.DeleteFunc(all, func(key string, _ bool) bool { return strings.HasPrefix(key, node+"\x00") })
	}
}
