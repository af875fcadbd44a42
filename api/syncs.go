package api

import (
	"errors"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// syncs starts syncs and describes how old their results are.
type syncs struct {
	every     time.Duration // 0 means never
	freshFor  time.Duration
	forceWait time.Duration
}

// syncView shows a sync in responses.
type syncView struct {
	ID             string  `json:"id"`
	DestinationID  string  `json:"destinationId"`
	Status         string  `json:"status"`
	StartedAt      stamp   `json:"startedAt"`
	FinishedAt     stamp   `json:"finishedAt"`
	FilesScanned   uint64  `json:"filesScanned"`
	BytesScanned   uint64  `json:"bytesScanned"`
	OrphanFiles    uint64  `json:"orphanFiles"`
	MissingBackups uint64  `json:"missingBackups"`
	FilesPerSecond float64 `json:"filesPerSecond"`
	Error          *string `json:"error"`
}

func showSync(r *pb.Sync, now time.Time) syncView {
	v := syncView{
		ID: r.Id, DestinationID: r.DestinationId, Status: r.Status, StartedAt: stamp(r.StartedAt), FinishedAt: stamp(r.FinishedAt),
		FilesScanned: r.FilesScanned, BytesScanned: r.BytesScanned, OrphanFiles: r.OrphanFiles, MissingBackups: r.MissingBackups,
	}
	end := r.FinishedAt
	if end == 0 {
		end = now.UnixMilli()
	}
	if ms := end - r.StartedAt; ms > 0 {
		v.FilesPerSecond = float64(int64(float64(r.FilesScanned)*1e6/float64(ms))) / 1000
	}
	if r.Error != "" {
		v.Error = &r.Error
	}
	return v
}

// startMany starts a sync of one or of all destinations.
func startMany(c *call) error {
	if err := c.noBody(); err != nil {
		return err
	}
	q := c.query()
	id := q.id("destinationId")
	if err := q.err(); err != nil {
		return err
	}
	var todo []*pb.Destination
	if err := c.view(func(tx *catalog.Tx) (err error) {
		if id == "" {
			todo, err = tx.Destinations(c.org)
			return err
		}
		d, err := tx.Destination(c.org, id)
		todo = append(todo, d)
		return orNotFound(err, storageNotFound())
	}); err != nil {
		return err
	}
	started, err := startSyncs(c, todo)
	if err != nil {
		return err
	}
	if id != "" && len(started) == 0 {
		return storageNotFound()
	}
	status, message := "syncing", "Storage sync started. Subscribe to Socket.io events for progress updates."
	if len(started) == 0 {
		status, message = "idle", "There are no storage destinations to sync"
	}
	return c.respond(envelope{Message: message, Data: struct {
		Status  string   `json:"status"`
		Org     string   `json:"organizationId"`
		SyncIDs []string `json:"syncIds"`
	}{status, c.org, started}})
}

func listSyncs(c *call) error {
	q := c.query()
	limit, id, after := q.limit(maxPage), q.id("destinationId"), string(q.cursor())
	if err := q.err(); err != nil {
		return err
	}
	if limit == 0 {
		limit = defaultPage
	}
	data := struct {
		Syncs []syncView `json:"syncs"`
	}{[]syncView{}}
	var meta struct {
		NextCursor string `json:"nextCursor,omitempty"`
	}
	if err := c.view(func(tx *catalog.Tx) error {
		if id != "" {
			if _, err := tx.Destination(c.org, id); err != nil {
				return orNotFound(err, storageNotFound())
			}
		}
		list, err := tx.Syncs(c.org, id, after, limit+1)
		if len(list) > limit {
			list = list[:limit]
			meta.NextCursor = c.cursorAfter([]byte(list[limit-1].Id))
		}
		for _, r := range list {
			data.Syncs = append(data.Syncs, showSync(r, c.backend.now()))
		}
		return err
	}); err != nil {
		return err
	}
	return c.respond(envelope{Data: data, Meta: meta})
}

func getSync(c *call) error {
	r, err := readSync(c)
	if err != nil {
		return err
	}
	return c.respond(envelope{Data: showSync(r, c.backend.now())})
}

func readSync(c *call) (r *pb.Sync, err error) {
	err = c.view(func(tx *catalog.Tx) error {
		r, err = tx.Sync(c.org, c.id())
		return orNotFound(err, notFound("Sync"))
	})
	return r, err
}

// cancelSync cancels a running sync. A finished one is not changed.
func cancelSync(c *call) error {
	r, err := readSync(c)
	if err != nil {
		return err
	}
	if r.FinishedAt == 0 {
		_, err = c.propose(&pb.FinishSync{SyncId: r.Id, Status: "cancelled", At: c.backend.now().UnixMilli()})
		// It may have finished meanwhile.
		if err != nil && !errors.Is(err, catalog.ErrConflict) {
			return err
		}
		if r, err = readSync(c); err != nil {
			return err
		}
	}
	message := "Sync cancelled"
	if r.Status != "cancelled" {
		message = "The sync had already ended"
	}
	return c.respond(envelope{Data: showSync(r, c.backend.now()), Message: message})
}

// startSync starts a sync, or joins a running one, and returns its id.
func startSync(c *call, d *pb.Destination) (id string, err error) {
	result, err := c.proposeOnce(&pb.StartSync{
		Org: d.Org, DestinationId: d.Id, SyncId: catalog.NewID(catalog.KindSync), At: c.backend.now().UnixMilli(),
	}, d.Id)
	if err != nil {
		return "", orNotFound(err, storageNotFound())
	}
	return result.SyncId, nil
}

// startSyncs starts or joins syncs and returns their ids, within the quota. It skips deleted
// destinations.
func startSyncs(c *call, all []*pb.Destination) (ids []string, err error) {
	err = c.within(quotaSyncs, c.org, c.backend.limits.Syncs, countSyncs(c.org, all), func() (err error) {
		ids, err = startAll(c, all)
		return err
	})
	c.audited.did("syncs", uint64(len(ids)))
	return ids, err
}

func startAll(c *call, all []*pb.Destination) ([]string, error) {
	ids := make([]string, 0, len(all))
	for _, d := range all {
		id, err := startSync(c, d)
		if known, ok := errors.AsType[*Error](err); ok && known.Code == CodeStorageNotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
