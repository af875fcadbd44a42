package api

import (
	"context"
	"errors"
	"strconv"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

type typeStats struct {
	Count uint64 `json:"count"`
	Size  string `json:"size"`
}

// fileStats answers the sums over a destination.
func (s *Server) fileStats(c *call) error {
	q := c.query()
	force := q.boolean("force")
	if err := q.err(); err != nil {
		return err
	}
	sh, err := s.openShard(c, force)
	if err != nil {
		return err
	}
	defer sh.release()
	var stats index.Stats
	if sh.view != nil {
		stats = sh.view.Stats()
	}
	t := stats.Totals()
	byType := map[string]typeStats{}
	for typ, counts := range stats.ByType {
		byType[index.Type(typ).String()] = typeStats{
			counts.Linked.Files + counts.Orphan.Files, size(counts.Linked.Bytes + counts.Orphan.Bytes),
		}
	}
	return c.answer(envelope{Meta: sh.meta, Data: struct {
		TotalFiles  uint64               `json:"totalFiles"`
		TotalSize   string               `json:"totalSize"`
		LinkedFiles uint64               `json:"linkedFiles"`
		LinkedSize  string               `json:"linkedSize"`
		OrphanFiles uint64               `json:"orphanFiles"`
		OrphanSize  string               `json:"orphanSize"`
		ByType      map[string]typeStats `json:"byType"`
	}{t.Files, size(t.Bytes), t.Files - t.OrphanFiles, size(t.Bytes - t.OrphanBytes), t.OrphanFiles, size(t.OrphanBytes), byType}})
}

// size is a number of bytes as the specification has most of them: a string.
func size(n uint64) string { return strconv.FormatUint(n, 10) }

// StorageStats is the `data` of GET /api/v1/storage/stats, and what the event
// storage:stats-update carries.
type StorageStats struct {
	Destinations []DestinationStats `json:"destinations"`
	Totals       StatsTotals        `json:"totals"`
	// LastFullSyncAt is when the index of the destination that is furthest behind was
	// made; null while one has none.
	LastFullSyncAt      stamp `json:"lastFullSyncAt"`
	NextScheduledSyncAt stamp `json:"nextScheduledSyncAt"`
}

// DestinationStats are the sums over one destination.
type DestinationStats struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	TotalFiles  uint64 `json:"totalFiles"`
	TotalSize   string `json:"totalSize"`
	OrphanFiles uint64 `json:"orphanFiles"`
	OrphanSize  string `json:"orphanSize"`
}

// StatsTotals are the sums over all destinations.
type StatsTotals struct {
	TotalDestinations int    `json:"totalDestinations"`
	TotalFiles        uint64 `json:"totalFiles"`
	TotalSize         string `json:"totalSize"`
	OrphanFiles       uint64 `json:"orphanFiles"`
	OrphanSize        string `json:"orphanSize"`
}

type statsMeta struct {
	IsSyncing           bool  `json:"isSyncing"`
	NeedsSync           bool  `json:"needsSync"`
	LastSyncAt          stamp `json:"lastSyncAt"`
	NextScheduledSyncAt stamp `json:"nextScheduledSyncAt"`
}

// storageStats answers the sums over all destinations of the organisation. With
// force it starts their syncs, and does not wait for them.
func (s *Server) storageStats(c *call) error {
	q := c.query()
	force := q.boolean("force")
	if err := q.err(); err != nil {
		return err
	}
	if err := c.barrier(); err != nil {
		return err
	}
	if force {
		if err := c.mayForce(); err != nil {
			return err
		}
		var all []*pb.Destination
		if err := s.Catalog.View(func(tx *catalog.Tx) (err error) {
			all, err = tx.Destinations(c.org)
			return err
		}); err != nil {
			return err
		}
		if _, err := c.startAll(all); err != nil {
			return err
		}
	}
	data, meta, err := s.sum(c.context(), c.org)
	if err != nil {
		return err
	}
	return c.answer(envelope{Data: data, Meta: meta})
}

// Stats answers the data of GET /api/v1/storage/stats for an organisation, from
// what this node has.
func (s *Server) Stats(ctx context.Context, org string) (*StorageStats, error) {
	data, _, err := s.sum(ctx, org)
	return data, err
}

func (s *Server) sum(ctx context.Context, org string) (*StorageStats, *statsMeta, error) {
	var all []*pb.Destination
	var fresh []freshness
	if err := s.Catalog.View(func(tx *catalog.Tx) (err error) {
		if all, err = tx.Destinations(org); err != nil {
			return err
		}
		for _, d := range all {
			f, err := s.freshness(tx, d)
			if err != nil {
				return err
			}
			fresh = append(fresh, f)
		}
		return nil
	}); err != nil {
		return nil, nil, err
	}
	data, meta := &StorageStats{Destinations: []DestinationStats{}}, &statsMeta{}
	var total index.Totals
	for i, d := range all {
		t, err := s.totals(ctx, d, fresh[i])
		if err != nil {
			return nil, nil, err
		}
		data.Destinations = append(data.Destinations, DestinationStats{d.Id, d.Name, t.Files, size(t.Bytes), t.OrphanFiles, size(t.OrphanBytes)})
		total.Files += t.Files
		total.Bytes += t.Bytes
		total.OrphanFiles += t.OrphanFiles
		total.OrphanBytes += t.OrphanBytes
		meta.add(data, fresh[i], i == 0)
	}
	data.Totals = StatsTotals{len(all), total.Files, size(total.Bytes), total.OrphanFiles, size(total.OrphanBytes)}
	data.NextScheduledSyncAt = meta.NextScheduledSyncAt
	return data, meta, nil
}

// add takes the freshness of a destination into that of the whole.
func (m *statsMeta) add(data *StorageStats, f freshness, first bool) {
	m.IsSyncing = m.IsSyncing || f.IsSyncing
	m.NeedsSync = m.NeedsSync || f.NeedsSync
	m.LastSyncAt = max(m.LastSyncAt, f.LastSyncAt)
	if f.NextScheduledSyncAt != 0 && (m.NextScheduledSyncAt == 0 || f.NextScheduledSyncAt < m.NextScheduledSyncAt) {
		m.NextScheduledSyncAt = f.NextScheduledSyncAt
	}
	if first || f.LastSyncAt < data.LastFullSyncAt {
		data.LastFullSyncAt = f.LastSyncAt
	}
}

// totals sums a destination up; one that was never synced counts for nothing.
func (s *Server) totals(ctx context.Context, d *pb.Destination, f freshness) (t index.Totals, err error) {
	view, err := s.viewOf(ctx, d, f)
	if errors.Is(err, index.ErrNoShard) {
		return s.Elsewhere.Totals(ctx, d.Id)
	}
	if view == nil {
		return t, err
	}
	defer view.Release()
	stats := view.Stats()
	return stats.Totals(), nil
}

// viewOf opens the shard of a destination, nil before its first sync. That a
// destination was synced and has no shard here is a failure: an empty answer would
// say that its bucket is empty.
func (s *Server) viewOf(ctx context.Context, d *pb.Destination, f freshness) (*index.View, error) {
	view, err := s.Shards.View(ctx, d.Id)
	if errors.Is(err, index.ErrNoShard) && f.LastSyncAt == 0 {
		return nil, nil //nolint:nilnil // no shard is an answer, not a failure
	}
	return view, err
}
