package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// reportTime bounds the report of an import whose client may have left.
const reportTime = 5 * time.Second

// feedReport is what an import reports about the feed: that it runs, and what was
// refused. Until it has ended, and while records are refused, cleanups want confirmation.
type feedReport struct {
	id         string
	sent       uint64
	refused    []uint64
	unresolved []uint64
	others     uint64
}

// refuse notes a refused record by its key (catalog.RefusedKey), or 0 if it has none.
func (f *feedReport) refuse(key uint64, unresolved bool) {
	list := &f.refused
	if unresolved {
		list = &f.unresolved
	}
	if key == 0 || len(*list) == catalog.MaxRefused {
		f.others++
		return
	}
	*list = append(*list, key)
}

// progress returns the command that records that the import runs.
func (f *feedReport) progress(org string, records uint64, now time.Time) *pb.SetGuards {
	if f.id == "" {
		f.id = catalog.NewID(catalog.KindImport)
	}
	f.sent += records
	return &pb.SetGuards{Org: org, At: now.UnixMilli(), Import: &pb.ImportReport{Id: f.id, Records: f.sent}}
}

// end returns the command that records the result of the import.
func (f *feedReport) end(org string, stored uint64, reasons []string, now time.Time) *pb.SetGuards {
	if f.id == "" {
		f.id = catalog.NewID(catalog.KindImport)
	}
	return &pb.SetGuards{Org: org, At: now.UnixMilli(), Import: &pb.ImportReport{
		Id: f.id, Records: stored, Ended: true, Refused: f.refused, Unresolved: f.unresolved, Others: f.others, Reasons: reasons,
	}}
}

// lineKey returns the key of the record in a line that cannot be imported, 0 if it has no id.
func lineKey(line []byte) uint64 {
	var head struct{ Kind, ID string }
	if json.Unmarshal(withoutBOM(line), &head) != nil || head.ID == "" {
		return 0
	}
	return catalog.RefusedKey(head.Kind, head.ID)
}

// rejectedKeys returns the keys of the records that the catalog refused, by command and
// position.
func rejectedKeys(commands []proto.Message, results []*pb.Result) []map[int]uint64 {
	all := make([]map[int]uint64, len(commands))
	for i, r := range results {
		put, ok := commands[i].(*pb.PutRecords)
		if !ok || len(r.GetRejected()) == 0 {
			continue
		}
		all[i] = map[int]uint64{}
		for _, x := range r.GetRejected() {
			all[i][int(x.GetIndex())] = catalog.RecordKey(put.GetRecords()[x.GetIndex()])
		}
	}
	return all
}

// stored returns the number of records that were stored.
func (m *importer) stored() (n uint64) {
	for _, kind := range m.imported {
		n += kind
	}
	return n
}

// report records the result of an import that was read to its end.
func (m *importer) report(ctx context.Context) error {
	if m.stored() == 0 && m.failed == 0 {
		return nil
	}
	m.trim()
	var reasons []string
	for _, e := range m.errors[:min(len(m.errors), catalog.MaxReasons)] {
		reasons = append(reasons, fmt.Sprintf("line %d: %.200s", e.Line, e.Message))
	}
	_, err := m.call.backend.consensus.Propose(ctx, m.feed.end(m.call.org, m.stored(), reasons, m.call.backend.now()))
	return err
}

// abandon records that an import has failed, so that its feed is known to be incomplete. If
// that fails, too, the import counts as running once it has stored something.
func (m *importer) abandon(ctx context.Context, cause error) {
	failure := toError(ctx, cause)
	if failure.Code == CodeNoLeader {
		return // nothing can be recorded; what was stored began with a running import
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	m.feed.others++
	reason := fmt.Sprintf("the import ended early: %.200s", failure.Message)
	_, err := m.call.backend.consensus.Propose(ctx, m.feed.end(m.call.org, max(m.feed.sent, m.stored()), []string{reason}, m.call.backend.now()))
	if err != nil {
		m.call.log.Warn("an import has failed, and the catalog does not know", "error", err)
	}
}

// feedState is the state of an organization's feed in responses.
type feedState struct {
	Incomplete  bool     `json:"incomplete"`
	Since       stamp    `json:"since"`
	Refused     uint64   `json:"refusedRecords"`
	Unresolved  int      `json:"unresolvedRecords"`
	Running     int      `json:"runningImports"`
	Reasons     []string `json:"reasons"`
	CompletedAt stamp    `json:"lastCompleteImportAt"`
}

func showFeed(f *pb.FeedState) *feedState {
	return &feedState{
		Incomplete: catalog.FeedIncomplete(f), Since: stamp(f.GetSince()), Refused: catalog.RefusedCount(f), Unresolved: len(f.GetUnresolved()),
		Running: len(f.GetRunning()), Reasons: append([]string{}, f.GetReasons()...), CompletedAt: stamp(f.GetCompletedAt()),
	}
}
