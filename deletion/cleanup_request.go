package deletion

import (
	"slices"

	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// CleanupRequest asks for the deletion of the orphans of a destination.
type CleanupRequest struct {
	// Destination is as read from the catalog.
	Destination *pb.Destination
	// Who is recorded in the audit.
	Who string
	// Types are the types of files that may be deleted.
	Types []index.Type
	// Before is the latest modification time of files to delete, in Unix milliseconds. A
	// file of unknown time is never old enough. It is by the clock of this node, and corrected
	// by the difference to the provider's.
	Before int64
	// Resembling adds orphans that resemble missing backups. Without it they are left out.
	Resembling bool
	// Confirm, when not empty, must be the hash of the plan.
	Confirm string
}

// selects reports whether a file is to be deleted.
func (r *CleanupRequest) selects(e *index.Entry) bool {
	return !e.Linked && e.ModTime > 0 && e.ModTime <= r.Before && slices.Contains(r.Types, e.Type)
}
