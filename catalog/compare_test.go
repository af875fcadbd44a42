package catalog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

var (
	allOrgs  = []string{"org1", "org2"}
	allDests = []string{"d1", "d2", "d3"}

	allBuckets = []string{"s3//bucket", "gcs//bucket", "do-spaces//bucket"}
)

// compare reads everything and holds it against the model.
func (x *machine) compare(t *rapid.T) {
	err := x.catalog.View(func(tx *Tx) error {
		if tx.AppliedIndex() != x.model.index || x.catalog.AppliedIndex() != x.model.index {
			t.Fatalf("applied %d and %d, want %d", tx.AppliedIndex(), x.catalog.AppliedIndex(), x.model.index)
		}
		if !bytes.Equal(tx.Keyset(), x.model.keyset) {
			t.Fatalf("keyset %q, want %q", tx.Keyset(), x.model.keyset)
		}
		all, err := tx.AllDestinations()
		same(t, "all destinations", all, err, sorted(x.model.destinations, yes[*pb.Destination], byIDOf[*pb.Destination]))
		tokens, err := tx.Tokens()
		same(t, "tokens", tokens, err, sorted(x.model.tokens, yes[*pb.Token], byIDOf[*pb.Token]))
		for _, want := range tokens {
			got, err := tx.TokenByHash(want.Hash)
			same(t, "token by hash", []*pb.Token{got}, err, []*pb.Token{want})
		}
		running, err := tx.RunningSyncs()
		same(t, "running syncs", running, err, sorted(x.model.syncs, func(s *pb.Sync) bool { return s.Status == SyncRunning }, byIDOf[*pb.Sync]))
		for _, org := range allOrgs {
			x.compareOrg(t, tx, org)
		}
		x.compareSyncs(t, tx)
		x.compareDeletes(t, tx)
		x.compareBuckets(t, tx)
		x.compareTrail(t, tx)
		return nil
	})
	if err == nil {
		err = x.catalog.Verify(context.Background(), -1)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (x *machine) compareOrg(t *rapid.T, tx *Tx, org string) {
	m := x.model
	dests, err := tx.Destinations(org)
	same(t, "destinations", dests, err, sorted(m.destinations, func(d *pb.Destination) bool { return d.Org == org }, byIDOf[*pb.Destination]))
	feed, err := tx.FeedState(org)
	if want := m.feed(org).incomplete(); err != nil || FeedIncomplete(feed) != want {
		t.Fatalf("the feed of %s: %v, %v, incomplete: want %v", org, feed, err, want)
	}
	tombstones, err := tx.Tombstones(org)
	same(t, "tombstones", tombstones, err, sorted(m.tombstones, func(d *pb.Destination) bool { return d.Org == org }, byIDOf[*pb.Destination]))
	for _, d := range dests {
		var strays []string
		list, err := tx.Strays(org, d.Id, "", 0)
		for _, b := range list {
			strays = append(strays, b.Id)
		}
		if want := m.strays(d); err != nil || !slices.Equal(strays, want) || tx.CountStrays(org, d.Id) != uint64(len(want)) {
			t.Fatalf("strays of %s %s: %q, %v, want %q", org, d.Id, strays, err, want)
		}
	}
	projects, err := tx.Projects(org)
	same(t, "projects", projects, err, sorted(m.projects, func(p *pb.Project) bool { return p.Org == org }, byIDOf[*pb.Project]))
	for _, dest := range append([]string{""}, allDests...) {
		mine := func(o, storage string) bool { return o == org && (dest == "" || dest == storage) }
		backups, err := tx.Backups(org, dest, "", 0)
		want := sorted(m.backups, func(b *pb.Backup) bool { return mine(b.Org, b.StorageId) }, byIDOf[*pb.Backup])
		same(t, "backups", backups, err, want)
		for i, b := range want {
			page, err := tx.Backups(org, dest, b.Id, 2)
			same(t, "a page of backups", page, err, want[i+1:min(len(want), i+3)])
			one, err := tx.Backup(org, b.Id)
			same(t, "backup", []*pb.Backup{one}, err, []*pb.Backup{b})
		}
		schedules, err := tx.Schedules(org, dest)
		same(t, "schedules", schedules, err, sorted(m.schedules, func(s *pb.Schedule) bool { return mine(s.Org, s.StorageId) }, byIDOf[*pb.Schedule]))
		pitrs, err := tx.Pitrs(org, dest)
		same(t, "pitrs", pitrs, err, sorted(m.pitrs, func(p *pb.Pitr) bool { return mine(p.Org, p.StorageId) }, byIDOf[*pb.Pitr]))
		syncs, err := tx.Syncs(org, dest, "", 0)
		wantSyncs := sorted(m.syncs, func(s *pb.Sync) bool { return mine(s.Org, s.DestinationId) }, byIDOf[*pb.Sync])
		slices.Reverse(wantSyncs)
		same(t, "syncs", syncs, err, wantSyncs)
		for i, s := range wantSyncs {
			page, err := tx.Syncs(org, dest, s.Id, 1)
			same(t, "a page of syncs", page, err, wantSyncs[i+1:min(len(wantSyncs), i+2)])
		}
		if dest == "" {
			continue
		}
		if got, want := loadCounters(tx, org, dest), m.counters(org, dest); got != want {
			t.Fatalf("counters of %s %s: %+v, want %+v", org, dest, got, want)
		}
		if _, err := tx.Counters(org, dest); (err == nil) != (m.known(org, dest) != nil) {
			t.Fatalf("counters of %s %s: %v", org, dest, err)
		}
		if got, want := tx.Changes(org, dest), m.changes[owned{org, dest}]; got != want {
			t.Fatalf("changes of %s %s: %d, want %d", org, dest, got, want)
		}
		if got, want := homeBuckets(tx, org, dest), slices.Sorted(maps.Keys(m.homes[owned{org, dest}])); !slices.Equal(got, want) {
			t.Fatalf("homes of %s %s: %q, want %q", org, dest, got, want)
		}
	}
}

func (x *machine) compareSyncs(t *rapid.T, tx *Tx) {
	for id, s := range x.model.syncs {
		segments, err := tx.Segments(id)
		same(t, "segments", segments, err, x.model.segments[id])
		if _, err := tx.Sync("stranger", id); !errors.Is(err, ErrNotFound) {
			t.Fatalf("another organization reads sync %s: %v", id, err)
		}
		got, err := tx.Sync(s.Org, id)
		same(t, "sync", []*pb.Sync{got}, err, []*pb.Sync{s})
	}
	for _, dest := range allDests {
		got, err := tx.Generation(dest)
		if want := x.model.generations[dest]; want != nil {
			same(t, "generation", []*pb.Generation{got}, err, []*pb.Generation{want})
		} else if !errors.Is(err, ErrNotFound) {
			t.Fatalf("generation of %s: %v, %v", dest, got, err)
		}
	}
}

// compareBuckets compares links and prefixes as sets, and checks that deltas
// contain every change since the oldest need, and are absent without one.
func (x *machine) compareBuckets(t *rapid.T, tx *Tx) {
	wantLinks, wantPrefixes := x.model.links(), x.model.prefixes()
	for _, bucketID := range allBuckets {
		got, last := set{}, ""
		links := tx.Links(bucketID)
		for l, ok := links.Seek(nil); ok; l, ok = links.Next() {
			if string(l.Stem) < last || string(keyspace.Stem(l.Path)) != string(l.Stem) {
				t.Fatalf("link %q after %q, path %q", l.Stem, last, l.Path)
			}
			last = string(l.Stem)
			got[linkString(l.Kind, l.Rule, l.Path, string(l.Org), string(l.BackupID), string(l.StorageID))] = true
		}
		if links.Err() != nil || !maps.Equal(got, wantLinks[bucketID]) && len(got)+len(wantLinks[bucketID]) > 0 {
			t.Fatalf("links of %s: %v, want %v (%v)", bucketID, got, wantLinks[bucketID], links.Err())
		}
		prefixes, err := tx.PitrPrefixes(bucketID, "org1")
		want := slices.Sorted(maps.Keys(wantPrefixes[bucketID]))
		if err != nil || !slices.EqualFunc(prefixes, want, func(a []byte, b string) bool { return string(a) == b }) {
			t.Fatalf("prefixes of %s: %q, want %q (%v)", bucketID, prefixes, want, err)
		}
		x.compareDeltas(t, tx, bucketID)
	}
}

func (x *machine) compareDeltas(t *rapid.T, tx *Tx, bucketID string) {
	deltas, err := tx.Deltas(bucketID, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	need, needed := x.model.need(bucketID)
	if !needed && len(deltas) > 0 {
		t.Fatalf("%s has deltas that nobody needs", bucketID)
	}
	last, at := uint64(0), map[uint64]*pb.Delta{}
	for _, d := range deltas {
		if d.Index <= last || d.Index > x.model.index {
			t.Fatalf("delta at %d after %d", d.Index, last)
		}
		last, at[d.Index] = d.Index, d.Delta
	}
	if got := tx.LastDelta(bucketID); got != last {
		t.Fatalf("last delta of %s: %d, want %d", bucketID, got, last)
	}
	if len(deltas) > 1 {
		rest, err := tx.Deltas(bucketID, deltas[0].Index, 1)
		if err != nil || len(rest) != 1 || rest[0].Index != deltas[1].Index {
			t.Fatalf("deltas of %s after %d: %v, %v", bucketID, deltas[0].Index, rest, err)
		}
	}
	for _, c := range x.changes {
		if c.bucketID != bucketID || !needed || c.index <= need {
			continue
		}
		listed := func(list [][]byte, what string) bool {
			return slices.ContainsFunc(list, func(b []byte) bool { return string(b) == what })
		}
		d := at[c.index]
		known := false
		switch c.kind {
		case ofStem:
			known = listed(d.GetStems(), c.what) || listed(d.GetPrefixes(), "")
		case ofPrefix:
			known = listed(d.GetPrefixes(), c.what) || listed(d.GetPrefixes(), "")
		case ofDeleted:
			known = listed(d.GetDeleted(), c.what)
		}
		if !known {
			t.Fatalf("the change of %q in %s at %d is in no delta: %v", c.what, bucketID, c.index, d)
		}
	}
}

func same[M proto.Message](t *rapid.T, what string, got []M, err error, want []M) {
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if !slices.EqualFunc(got, want, func(a, b M) bool { return proto.Equal(a, b) }) {
		t.Fatalf("%s:\n%v\nwant\n%v", what, got, want)
	}
}

type identified interface{ GetId() string }

func byIDOf[M identified](a, b M) int { return cmp.Compare(a.GetId(), b.GetId()) }

func yes[M any](M) bool { return true }

func sorted[K comparable, M proto.Message](all map[K]M, keep func(M) bool, order func(a, b M) int) []M {
	var kept []M
	for _, m := range all {
		if keep(m) {
			kept = append(kept, m)
		}
	}
	slices.SortFunc(kept, order)
	return kept
}
