package api

import (
	"context"
	"errors"
	"maps"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// stats sums up the destinations of an organization.
type stats struct {
	backend *backend
	shards  *shards
}

// StorageStats is the `data` of GET /api/v1/storage/stats and of the event
// storage:stats-update.
type StorageStats struct {
	Destinations []DestinationStats `json:"destinations"`
	Totals       StatsTotals        `json:"totals"`
	// Overlaps are the sets of destinations that share files.
	Overlaps []StatsOverlap `json:"overlaps"`
	// Feed is the state of the organization's feed of records.
	Feed *feedState `json:"feed"`
	// LastFullSyncAt is the time of the oldest index; null while a destination has
	// none.
	LastFullSyncAt      stamp `json:"lastFullSyncAt"`
	NextScheduledSyncAt stamp `json:"nextScheduledSyncAt"`
}

// DestinationStats are the totals of one destination.
type DestinationStats struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	TotalFiles  uint64 `json:"totalFiles"`
	TotalSize   string `json:"totalSize"`
	OrphanFiles uint64 `json:"orphanFiles"`
	OrphanSize  string `json:"orphanSize"`
	ByStemFiles uint64 `json:"linkedByStemFiles"`
	ByStemSize  string `json:"linkedByStemSize"`
	// MissingBackups is as of the last sync; NotLookedForBackups counts backups with an object
	// where it did not look.
	MissingBackups      uint64 `json:"missingBackups"`
	NotLookedForBackups uint64 `json:"notLookedForBackups"`
	// CountedIn is the destination whose path contains that of this one, so that the totals
	// take the files of this one from it; null when they count its own.
	CountedIn *string `json:"countedIn"`
	// LastSyncAt is the time of the data, null before the first sync; LastSyncError is why
	// the last sync failed, null if it did not.
	LastSyncAt    stamp      `json:"lastSyncAt"`
	LastSyncError *SyncError `json:"lastSyncError"`
}

// StatsOverlap is a set of destinations in one bucket with overlapping paths.
type StatsOverlap struct {
	StorageIDs []string `json:"storageIds"`
}

// StatsTotals are the totals of all destinations. They count each file of a bucket once,
// however many destinations overlap on it.
type StatsTotals struct {
	TotalDestinations int    `json:"totalDestinations"`
	TotalFiles        uint64 `json:"totalFiles"`
	TotalSize         string `json:"totalSize"`
	OrphanFiles       uint64 `json:"orphanFiles"`
	OrphanSize        string `json:"orphanSize"`
	// ByStemFiles are linked only because they share the stem of a record's storagePath.
	ByStemFiles uint64 `json:"linkedByStemFiles"`
	ByStemSize  string `json:"linkedByStemSize"`
}

type statsMeta struct {
	IsSyncing           bool  `json:"isSyncing"`
	NeedsSync           bool  `json:"needsSync"`
	LastSyncAt          stamp `json:"lastSyncAt"`
	NextScheduledSyncAt stamp `json:"nextScheduledSyncAt"`
}

// get returns the totals of all destinations of the organization. With force it starts
// their syncs and does not wait for them.
func (h *stats) get(c *call) error {
	q := c.query()
	force := q.force()
	if err := q.err(); err != nil {
		return err
	}
	if err := c.barrier(); err != nil {
		return err
	}
	if force {
		if err := mayForce(c); err != nil {
			return err
		}
		var all []*pb.Destination
		if err := h.backend.catalog.View(func(tx *catalog.Tx) (err error) {
			all, err = tx.Destinations(c.org)
			return err
		}); err != nil {
			return err
		}
		if _, err := startSyncs(c, all); err != nil {
			return err
		}
	}
	data, meta, err := h.sum(c.context(), c.org)
	if err != nil {
		return err
	}
	if force {
		return c.respond(envelope{Data: data, Meta: meta})
	}
	tagged, about := *data, *meta
	tagged.NextScheduledSyncAt, about.NextScheduledSyncAt = c.notNow(data.NextScheduledSyncAt), c.notNow(meta.NextScheduledSyncAt)
	return c.respondTagged(envelope{Data: data, Meta: meta}, tagged, about)
}

func (h *stats) sum(ctx context.Context, org string) (*StorageStats, *statsMeta, error) {
	var all []*pb.Destination
	var fresh []freshness
	var overlaps []catalog.Overlap
	var feed *pb.FeedState
	missing, notLookedFor := map[string]uint64{}, map[string]uint64{}
	if err := h.backend.catalog.View(func(tx *catalog.Tx) (err error) {
		if all, err = tx.Destinations(org); err != nil {
			return err
		}
		if feed, err = tx.FeedState(org); err != nil {
			return err
		}
		syncedAt := map[string]int64{}
		for _, d := range all {
			if missing[d.Id], notLookedFor[d.Id], err = tx.MissingBackups(d); err != nil {
				return err
			}
			f, err := h.shards.syncs.freshness(tx, h.backend.now(), d)
			if err != nil {
				return err
			}
			fresh = append(fresh, f)
			syncedAt[d.Id] = int64(f.LastSyncAt)
		}
		overlaps = tx.Overlaps(all, syncedAt)
		return nil
	}); err != nil {
		return nil, nil, err
	}
	data, meta := &StorageStats{Destinations: []DestinationStats{}, Overlaps: []StatsOverlap{}, Feed: showFeed(feed)}, &statsMeta{}
	countedIn := map[string]string{}
	for _, o := range overlaps {
		data.Overlaps = append(data.Overlaps, StatsOverlap{o.Destinations})
		maps.Copy(countedIn, o.CountedIn)
	}
	var total index.Totals
	for i, d := range all {
		t, err := h.totals(ctx, d, fresh[i])
		if err != nil {
			return nil, nil, err
		}
		row := DestinationStats{
			ID: d.Id, Name: d.Name, TotalFiles: t.Files, TotalSize: size(t.Bytes), OrphanFiles: t.OrphanFiles, OrphanSize: size(t.OrphanBytes),
			ByStemFiles: t.ByStemFiles, ByStemSize: size(t.ByStemBytes), MissingBackups: missing[d.Id], NotLookedForBackups: notLookedFor[d.Id],
			LastSyncAt: fresh[i].LastSyncAt, LastSyncError: fresh[i].LastSyncError,
		}
		if outer, ok := countedIn[d.Id]; ok {
			row.CountedIn = &outer
		} else {
			total.Add(t)
		}
		data.Destinations = append(data.Destinations, row)
		meta.add(data, fresh[i], i == 0)
	}
	data.Totals = StatsTotals{len(all), total.Files, size(total.Bytes), total.OrphanFiles, size(total.OrphanBytes), total.ByStemFiles, size(total.ByStemBytes)}
	data.NextScheduledSyncAt = meta.NextScheduledSyncAt
	return data, meta, nil
}

// add merges the freshness of a destination.
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

// totals returns the totals of a destination, zero before its first sync.
func (h *stats) totals(ctx context.Context, d *pb.Destination, f freshness) (t index.Totals, err error) {
	view, err := h.shards.view(ctx, d, f)
	if errors.Is(err, index.ErrNoShard) {
		return h.backend.locator.Totals(ctx, d.Id)
	}
	if view == nil {
		return t, err
	}
	defer view.Release()
	sums := view.Stats()
	return sums.Totals(), nil
}
