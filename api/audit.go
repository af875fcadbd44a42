package api

import (
	"strconv"

	"firescan/catalog"
)

const (
	defaultAudit = 20
	// maxAudit bounds a page, since an entry may have 1,000 files.
	maxAudit = 100
)

// listAudit returns who deleted what, newest first.
func listAudit(c *call) error {
	q := c.query()
	limit, after := q.limit(maxAudit), string(q.cursor())
	if err := q.err(); err != nil {
		return err
	}
	if limit == 0 {
		limit = defaultAudit
	}
	type file struct {
		Path    string `json:"path"`
		Deleted bool   `json:"deleted"`
		Size    string `json:"size"`
		Reason  string `json:"reason,omitempty"`
		// Versioned reports that no space was freed: the bucket keeps a version.
		Versioned bool `json:"versioned,omitempty"`
		Retained  bool `json:"retained,omitempty"`
	}
	type entry struct {
		ID            string   `json:"id"`
		DestinationID string   `json:"destinationId"`
		Who           string   `json:"who"`
		StartedAt     stamp    `json:"startedAt"`
		FinishedAt    stamp    `json:"finishedAt"`
		Files         []file   `json:"files"`
		BackupIDs     []string `json:"backupIds"`
	}
	data := struct {
		Entries []entry `json:"entries"`
	}{[]entry{}}
	var meta struct {
		NextCursor string `json:"nextCursor,omitempty"`
	}
	if err := c.view(func(tx *catalog.Tx) error {
		list, err := tx.Audit(c.org, after, limit+1)
		if len(list) > limit {
			list = list[:limit]
			meta.NextCursor = c.cursorAfter([]byte(list[limit-1].Id))
		}
		for _, a := range list {
			e := entry{a.Id, a.DestinationId, a.Who, stamp(a.BegunAt), stamp(a.FinishedAt), []file{}, append([]string{}, a.BackupIds...)}
			for _, o := range a.Outcomes {
				e.Files = append(e.Files, file{string(o.Path), o.Deleted, strconv.FormatInt(o.Size, 10), o.Reason, o.Versioned, o.Retained})
			}
			data.Entries = append(data.Entries, e)
		}
		return err
	}); err != nil {
		return err
	}
	return c.respond(envelope{Data: data, Meta: meta})
}
