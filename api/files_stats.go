package api

import (
	"firescan/index"
)

type typeStats struct {
	Count uint64 `json:"count"`
	Size  string `json:"size"`
}

// stats returns the totals of a destination.
func (h *files) stats(c *call) error {
	q := c.query()
	force := q.force()
	if err := q.err(); err != nil {
		return err
	}
	sh, err := h.shards.open(c, force)
	if err != nil {
		return err
	}
	defer sh.release()
	var sums index.Stats
	if sh.view != nil {
		sums = sh.view.Stats()
	}
	missing, err := h.shards.openMissing(c, sh.destination, sh.view)
	if err != nil {
		return err
	}
	defer missing.release()
	without, err := missing.totals()
	if err != nil {
		return err
	}
	t := sums.Totals()
	byType := map[string]typeStats{}
	for typ, counts := range sums.ByType {
		byType[index.Type(typ).String()] = typeStats{
			counts.Linked.Files + counts.Orphan.Files, size(counts.Linked.Bytes + counts.Orphan.Bytes),
		}
	}
	data := struct {
		TotalFiles  uint64               `json:"totalFiles"`
		TotalSize   string               `json:"totalSize"`
		LinkedFiles uint64               `json:"linkedFiles"`
		LinkedSize  string               `json:"linkedSize"`
		OrphanFiles uint64               `json:"orphanFiles"`
		OrphanSize  string               `json:"orphanSize"`
		ByType      map[string]typeStats `json:"byType"`
		// The linked files that no record names: they share the stem of one.
		ByStemFiles uint64 `json:"linkedByStemFiles"`
		ByStemSize  string `json:"linkedByStemSize"`
		// Backups with an object that the last sync did not find, and others with one that it
		// did not look for.
		Missing      uint64 `json:"missingBackups"`
		NotLookedFor uint64 `json:"notLookedForBackups"`
	}{
		t.Files, size(t.Bytes), t.Files - t.OrphanFiles, size(t.Bytes - t.OrphanBytes), t.OrphanFiles, size(t.OrphanBytes), byType,
		t.ByStemFiles, size(t.ByStemBytes), without.Missing, without.NotLookedFor,
	}
	answer := envelope{Data: data, Meta: sh.meta}
	if force {
		return c.respond(answer)
	}
	meta := sh.meta
	meta.NextScheduledSyncAt = c.notNow(meta.NextScheduledSyncAt)
	return c.respondTagged(answer, data, meta)
}
