package api

import (
	"fmt"

	"firescan/deletion"
)

// maxDeleteBackups is the maximum number of backups in one request: the bucket is
// searched for the files of each.
const maxDeleteBackups = 1000

// deleteMany deletes backup records and, if asked, their files first.
func (h *backups) deleteMany(c *call) error {
	var in struct {
		IDs   []string `json:"backupIds"`
		Files bool     `json:"deleteStorageFiles"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if n := len(in.IDs); n == 0 || n > maxDeleteBackups {
		return invalidField("backupIds", fmt.Sprintf("must have 1 to %d ids", maxDeleteBackups))
	}
	wrong := fieldErrors{}
	for i, id := range in.IDs {
		wrong.id(fmt.Sprintf("backupIds[%d]", i), id, true)
	}
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	in.IDs = unique(in.IDs)
	d, err := c.readDestination()
	if err != nil {
		return err
	}
	done, err := h.deleter.DeleteBackups(c.context(), deletion.BackupsRequest{Destination: d, Who: c.token.Id, IDs: in.IDs, Files: in.Files})
	if err != nil {
		return err
	}
	type result struct {
		ID           string   `json:"backupId"`
		Deleted      bool     `json:"deleted"`
		FilesDeleted bool     `json:"filesDeleted"`
		Error        *failure `json:"error,omitempty"`
	}
	data := struct {
		Deleted int      `json:"deletedCount"`
		Files   int      `json:"filesDeletedCount"`
		Failed  int      `json:"failedCount"`
		Results []result `json:"results"`
		effect
	}{Files: done.Files, Results: []result{}, effect: effectOf(done.Versioned, done.Bytes)}
	for _, o := range done.Outcomes {
		if o.Deleted {
			data.Deleted++
		} else {
			data.Failed++
		}
		data.Results = append(data.Results, result{o.ID, o.Deleted, o.FilesDeleted, c.failed(orNotFound(o.Err, backupNotFound()))})
	}
	c.audited.did("deleted", uint64(data.Deleted))
	c.audited.did("failed", uint64(data.Failed))
	c.audited.did("files", uint64(data.Files))
	message := fmt.Sprintf("Deleted %d of %d backups", data.Deleted, len(in.IDs))
	if in.Files {
		message += fmt.Sprintf(" and %d storage files", data.Files)
	}
	if done.Versioned > 0 {
		message += versionedNote(done.Versioned == done.Files)
	}
	return c.respond(envelope{Message: message, Data: data})
}

func backupNotFound() *Error {
	return &Error{Code: CodeBackupNotFound, Message: "Backup not found in this storage destination"}
}
