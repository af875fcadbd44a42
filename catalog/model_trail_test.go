package catalog

import (
	"slices"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

// The part of the model that knows the audit of requests.

func (m *model) recordAudit(c *pb.RecordAudit) string {
	for _, e := range c.Entries {
		if e.Id == "" {
			return CodeInvalid
		}
	}
	for _, e := range c.Entries {
		all := m.trail[e.Org]
		if slices.ContainsFunc(all, func(o *pb.AuditEntry) bool { return o.Id == e.Id }) {
			continue
		}
		all = append(slices.Clone(all), e)
		slices.SortFunc(all, byIDOf[*pb.AuditEntry])
		for len(all) > 1 && (len(all) > int(c.Keep) || trailBytes(all) > c.KeepBytes) {
			all = all[1:]
		}
		m.trail[e.Org] = all
	}
	return ""
}

func trailBytes(all []*pb.AuditEntry) (n uint64) {
	for _, e := range all {
		n += uint64(len(e.Org) + 1 + len(e.Id) + proto.Size(e))
	}
	return n
}

// genTrail draws entries of organizations and of the cluster.
func genTrail(t *rapid.T) *pb.RecordAudit {
	c := &pb.RecordAudit{Keep: rapid.Uint32Range(0, 3).Draw(t, "keep"), KeepBytes: rapid.SampledFrom([]uint64{0, 30, 1 << 20}).Draw(t, "bytes")}
	for range rapid.IntRange(1, 3).Draw(t, "entries") {
		c.Entries = append(c.Entries, &pb.AuditEntry{
			Org: rapid.SampledFrom(append([]string{""}, allOrgs...)).Draw(t, "org"),
			Id:  rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", ""}).Draw(t, "id"),
			At:  genInt.Draw(t, "at"), Numbers: map[string]uint64{"a": 1, "b": 2},
		})
	}
	return c
}

func (x *machine) compareTrail(t *rapid.T, tx *Tx) {
	for _, org := range append([]string{""}, allOrgs...) {
		want := slices.Clone(x.model.trail[org])
		if n, size := trailSize(tx, org); n != uint64(len(want)) || size != trailBytes(want) {
			t.Fatalf("the audit of %q has %d entries and %d bytes, want %d and %d", org, n, size, len(want), trailBytes(want))
		}
		slices.Reverse(want)
		var got []*pb.AuditEntry
		err := tx.Trail(org, "", func(e *pb.AuditEntry) bool {
			got = append(got, e)
			return true
		})
		same(t, "the audit", got, err, want)
	}
}
