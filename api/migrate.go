package api

import (
	"fmt"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// migrateDestination moves all schedules and PITR configurations of a destination to
// another one, or none.
func migrateDestination(c *call) error {
	var in struct {
		Target *string `json:"targetStorageId"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	switch {
	case in.Target == nil || *in.Target == "":
		return invalidField("targetStorageId", "is required")
	case *in.Target == c.id():
		return invalidField("targetStorageId", "must be another destination")
	}
	var target *pb.Destination
	if err := c.view(func(tx *catalog.Tx) (err error) {
		if _, err := c.destination(tx); err != nil {
			return err
		}
		target, err = tx.Destination(c.org, *in.Target)
		return orNotFound(err, &Error{Code: CodeStorageNotFound, Message: "Target storage destination not found"})
	}); err != nil {
		return err
	}
	moved, err := c.propose(&pb.Migrate{Org: c.org, FromId: c.id(), ToId: target.Id, At: c.backend.now().UnixMilli()})
	if err != nil {
		return orNotFound(err, storageNotFound()) // deleted meanwhile
	}
	c.audited.target = target.Id
	c.audited.did("schedules", uint64(moved.Schedules))
	c.audited.did("pitr", uint64(moved.Pitrs))
	return c.respond(envelope{
		Message: fmt.Sprintf("Migrated %d schedules and %d PITR configurations to %s", moved.Schedules, moved.Pitrs, target.Name),
		Data: struct {
			Schedules uint32 `json:"schedulesUpdated"`
			Pitrs     uint32 `json:"pitrConfigsUpdated"`
			ID        string `json:"targetStorageId"`
			Name      string `json:"targetStorageName"`
		}{moved.Schedules, moved.Pitrs, target.Id, target.Name},
	})
}
