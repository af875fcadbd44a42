package api

import (
	"errors"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// syncView is a sync as answers show it.
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

func (s *Server) showSync(r *pb.Sync) syncView {
	v := syncView{
		ID: r.Id, DestinationID: r.DestinationId, Status: r.Status, StartedAt: stamp(r.StartedAt), FinishedAt: stamp(r.FinishedAt),
		FilesScanned: r.FilesScanned, BytesScanned: r.BytesScanned, OrphanFiles: r.OrphanFiles, MissingBackups: r.MissingBackups,
	}
	end := r.FinishedAt
	if end == 0 {
		end = s.Now().UnixMilli()
	}
	if ms := end - r.StartedAt; ms > 0 {
		v.FilesPerSecond = float64(int64(float64(r.FilesScanned)*1e6/float64(ms))) / 1000
	}
	if r.Error != "" {
		v.Error = &r.Error
	}
	return v
}

// startSyncs starts a sync of one destination, or of all of them.
func (s *Server) startSyncs(c *call) error {
	if err := c.noBody(); err != nil {
		return err
	}
	id := c.query().str("destinationId")
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
	started, err := c.startAll(todo)
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
	return c.answer(envelope{Message: message, Data: struct {
		Status  string   `json:"status"`
		Org     string   `json:"organizationId"`
		SyncIDs []string `json:"syncIds"`
	}{status, c.org, started}})
}

func (s *Server) listSyncs(c *call) error {
	q := c.query()
	limit := q.limit(maxPage)
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
		id := q.str("destinationId")
		if id != "" {
			if _, err := tx.Destination(c.org, id); err != nil {
				return orNotFound(err, storageNotFound())
			}
		}
		list, err := tx.Syncs(c.org, id, q.str("cursor"), limit+1)
		if len(list) > limit {
			list = list[:limit]
			meta.NextCursor = list[limit-1].Id
		}
		for _, r := range list {
			data.Syncs = append(data.Syncs, s.showSync(r))
		}
		return err
	}); err != nil {
		return err
	}
	return c.answer(envelope{Data: data, Meta: meta})
}

func (s *Server) getSync(c *call) error {
	r, err := c.readSync()
	if err != nil {
		return err
	}
	return c.answer(envelope{Data: s.showSync(r)})
}

func (c *call) readSync() (r *pb.Sync, err error) {
	err = c.view(func(tx *catalog.Tx) error {
		r, err = tx.Sync(c.org, c.id())
		return orNotFound(err, notFound("Sync"))
	})
	return r, err
}

// cancelSync ends a running sync. One that has ended is left as it is.
func (s *Server) cancelSync(c *call) error {
	r, err := c.readSync()
	if err != nil {
		return err
	}
	if r.FinishedAt == 0 {
		_, err = c.propose(&pb.FinishSync{SyncId: r.Id, Status: "cancelled", At: s.Now().UnixMilli()})
		// It may have come to its end in this moment.
		if err != nil && !errors.Is(err, catalog.ErrConflict) {
			return err
		}
		if r, err = c.readSync(); err != nil {
			return err
		}
	}
	message := "Sync cancelled"
	if r.Status != "cancelled" {
		message = "The sync had ended already"
	}
	return c.answer(envelope{Data: s.showSync(r), Message: message})
}
