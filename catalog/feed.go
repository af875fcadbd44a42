package catalog

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	pb "firescan/catalog/catalogpb"
)

// A feed is incomplete from an import with refused records until each of them has been
// stored, or until an import without refused records stores as many as that one did. It is
// incomplete, too, while an import runs, and after one that did not reach its end.

const (
	// MaxRefused bounds the refused records that a feed state knows by key, for each reason.
	MaxRefused = 1000
	// maxRunning bounds the imports that a feed state knows to run.
	maxRunning = 64
	// MaxReasons bounds the reasons of a feed state.
	MaxReasons = 5
)

// RefusedKey returns the key of a refused record of a kind (KindBackup and so on).
func RefusedKey(kind, id string) uint64 { return xxhash.Sum64String(kind + "\x00" + id) }

// RecordKey is RefusedKey of a record.
func RecordKey(r *pb.Record) uint64 { return RefusedKey(recordKindName(r), RecordID(r)) }

// FeedState returns the state of the feed of an organization; a zero state before the first
// import.
func (tx *Tx) FeedState(org string) (*pb.FeedState, error) {
	f, err := load[pb.FeedState](tx.bucket(inFeeds), []byte(org))
	if f == nil && err == nil {
		f = &pb.FeedState{}
	}
	return f, err
}

// FeedStates returns the states of all feeds by organization.
func (tx *Tx) FeedStates() (map[string]*pb.FeedState, error) {
	all := map[string]*pb.FeedState{}
	for org, v := range scan(tx.bucket(inFeeds), nil) {
		f, err := parse[pb.FeedState](org, v)
		if err != nil {
			return nil, err
		}
		all[string(org)] = f
	}
	return all, nil
}

// FeedIncomplete reports whether a feed has records that the catalog does not.
func FeedIncomplete(f *pb.FeedState) bool { return RefusedCount(f) > 0 || len(f.GetRunning()) > 0 }

// RefusedCount returns the number of refused records.
func RefusedCount(f *pb.FeedState) uint64 {
	return uint64(len(f.GetRefused())+len(f.GetUnresolved())) + f.GetOthers()
}

func setGuards(tx *writeTx, m *pb.SetGuards) (*pb.Result, error) {
	if err := checkID("org", m.GetOrg()); err != nil {
		return nil, err
	}
	if r := m.GetImport(); r != nil {
		if err := reportImport(tx, m.GetOrg(), r, m.GetAt()); err != nil {
			return nil, err
		}
	}
	if r := m.GetCleanup(); r != nil {
		if err := endCleanup(tx, m.GetOrg(), r, m.GetAt()); err != nil {
			return nil, err
		}
	}
	return &pb.Result{}, nil
}

func reportImport(tx *writeTx, org string, r *pb.ImportReport, at int64) error {
	if err := checkID("import id", r.GetId()); err != nil {
		return err
	}
	f, err := tx.read.FeedState(org)
	if err != nil {
		return err
	}
	if r.GetEnded() {
		endImport(f, r, at)
	} else {
		advanceImport(f, r, at)
	}
	return store(tx.bucket(inFeeds), []byte(org), f)
}

// advanceImport records that an import runs.
func advanceImport(f *pb.FeedState, r *pb.ImportReport, at int64) {
	if i := runningImport(f, r.GetId()); i >= 0 {
		f.Running[i].Records = r.GetRecords()
		return
	}
	if len(f.GetRunning()) == maxRunning {
		refuseRecords(f, &pb.ImportReport{Records: f.Running[0].GetRecords(), Others: 1, Reasons: []string{"an import did not end"}}, at)
		f.Running = f.Running[1:]
	}
	f.Running = append(f.Running, &pb.RunningImport{Id: r.GetId(), At: at, Records: r.GetRecords()})
}

// endImport records the result of an import. One without refused records ends earlier ones
// that it covers, too.
func endImport(f *pb.FeedState, r *pb.ImportReport, at int64) {
	begun := runningImport(f, r.GetId())
	before := f.GetRunning()[:max(begun, 0)]
	if begun >= 0 {
		f.Running = f.Running[begun+1:]
	}
	if len(r.GetRefused())+len(r.GetUnresolved()) > 0 || r.GetOthers() > 0 {
		f.Running = append(slices.Clone(before), f.Running...)
		refuseRecords(f, r, at)
		return
	}
	var running []*pb.RunningImport
	for _, other := range before {
		if other.GetRecords() > r.GetRecords() {
			running = append(running, other)
		}
	}
	f.Running = append(running, f.Running...)
	if r.GetRecords() >= max(f.GetNeeded(), 1) {
		completeFeed(f)
	}
	f.CompletedAt = at
}

func completeFeed(f *pb.FeedState) {
	f.Since, f.At, f.Needed, f.Refused, f.Unresolved, f.Others, f.Reasons = 0, 0, 0, nil, nil, 0, nil
}

// refuseRecords adds the refused records of an import.
func refuseRecords(f *pb.FeedState, r *pb.ImportReport, at int64) {
	if f.GetSince() == 0 {
		f.Since = at
	}
	f.At, f.Reasons = at, r.GetReasons()[:min(len(r.GetReasons()), MaxReasons)]
	f.Refused = union(f.GetRefused(), r.GetRefused())
	f.Unresolved = union(f.GetUnresolved(), r.GetUnresolved())
	others := r.GetOthers()
	for _, list := range []*[]uint64{&f.Refused, &f.Unresolved} {
		if n := len(*list) - MaxRefused; n > 0 {
			*list = (*list)[:MaxRefused]
			others += uint64(n)
		}
	}
	f.Others = max(f.GetOthers(), others)
	needed := r.GetRecords()
	if needed == 0 {
		needed = RefusedCount(f)
	}
	f.Needed = max(f.GetNeeded(), needed)
}

// union returns the elements of a and b in order.
func union(a, b []uint64) []uint64 {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

func runningImport(f *pb.FeedState, id string) int {
	return slices.IndexFunc(f.GetRunning(), func(r *pb.RunningImport) bool { return r.GetId() == id })
}

// refusedRecords removes stored records from those that a feed lacks.
type refusedRecords struct {
	tx      *writeTx
	org     string
	state   *pb.FeedState
	changed bool
}

// loadRefused returns what the feed of an organization lacks, nil if nothing is known by key.
func loadRefused(tx *writeTx, org string) (*refusedRecords, error) {
	f, err := load[pb.FeedState](tx.bucket(inFeeds), []byte(org))
	if err != nil || len(f.GetRefused())+len(f.GetUnresolved()) == 0 {
		return nil, err
	}
	return &refusedRecords{tx: tx, org: org, state: f}, nil
}

// stored notes that a record was stored.
func (m *refusedRecords) stored(r *pb.Record) {
	if m == nil {
		return
	}
	key := RecordKey(r)
	for _, list := range []*[]uint64{&m.state.Refused, &m.state.Unresolved} {
		if i, found := slices.BinarySearch(*list, key); found {
			*list = slices.Delete(*list, i, i+1)
			m.changed = true
		}
	}
}

func (m *refusedRecords) flush() error {
	if m == nil || !m.changed {
		return nil
	}
	if RefusedCount(m.state) == 0 {
		completeFeed(m.state)
	}
	return store(m.tx.bucket(inFeeds), []byte(m.org), m.state)
}

// recordKindName returns the kind of a record as DeleteRecords names it.
func recordKindName(r *pb.Record) string {
	switch r.GetKind().(type) {
	case *pb.Record_Project:
		return KindProject
	case *pb.Record_Schedule:
		return KindSchedule
	case *pb.Record_Pitr:
		return KindPitr
	}
	return KindBackup
}
