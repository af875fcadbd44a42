package api

import (
	"errors"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// feedKind is one kind of record of the catalog feed.
type feedKind struct {
	// name is used in the catalog and in the lines of an import, plural in paths and
	// responses, title in messages.
	name, plural, title string
	newRecord           func() record
	read                func(tx *catalog.Tx, org, id string) (record, error)
}

func feedKinds() []feedKind {
	return []feedKind{
		{"project", "projects", "Project", func() record { return &projectRecord{} }, readProject},
		{"backup", "backups", "Backup", func() record { return &backupRecord{} }, readBackup},
		{"schedule", "schedules", "Schedule", func() record { return &scheduleRecord{} }, readSchedule},
		{"pitr", "pitr", "PITR configuration", func() record { return &pitrRecord{} }, readPitr},
	}
}

func feedRoutes() []route {
	var list []route
	for _, k := range feedKinds() {
		path := "/api/v1/catalog/" + k.plural + "/:id"
		list = append(list,
			route{"GET", path, FeedRead, quick, k.get},
			route{"PUT", path, FeedWrite, quick, k.put},
			route{"DELETE", path, FeedWrite, quick, k.remove},
		)
	}
	return list
}

func (k feedKind) notFound() *Error {
	e := notFound(k.title)
	if k.name == "backup" {
		e.Code = CodeBackupNotFound
	}
	return e
}

func (k feedKind) get(c *call) error {
	var r record
	if err := c.view(func(tx *catalog.Tx) (err error) {
		r, err = k.read(tx, c.org, c.id())
		return orNotFound(err, k.notFound())
	}); err != nil {
		return err
	}
	c.setVersion(r)
	return c.respond(envelope{Data: r})
}

func (k feedKind) put(c *call) error {
	r := k.newRecord()
	if err := c.decode(r); err != nil {
		return err
	}
	wrong := fieldErrors{}
	if !r.setID(c.id()) {
		wrong["id"] = "must match the path"
	}
	if r.kind() != "" && r.kind() != k.name {
		wrong["kind"] = "must match the path"
	}
	if r.check(wrong); len(wrong) > 0 {
		return invalid(wrong)
	}
	resolver, err := c.resolver()
	if err != nil {
		return err
	}
	msg := r.message(c.org)
	if err := resolver.ResolveRecord(msg); err != nil {
		c.countUnresolved(err)
		return err
	}
	if msg.IfVersion, err = c.condition(); err != nil {
		return err
	}
	result, err := c.propose(&pb.PutRecords{Org: c.org, Records: []*pb.Record{msg}})
	if err != nil {
		return err
	}
	if len(result.Rejected) > 0 {
		return rejection(result.Rejected[0])
	}
	// The response has the record as it is stored, in normal form.
	var stored record
	err = c.backend.catalog.View(func(tx *catalog.Tx) (err error) {
		stored, err = k.read(tx, c.org, c.id())
		return err
	})
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		stored = r // deleted again by another request
	case err != nil:
		return err
	}
	c.setVersion(stored)
	return c.respond(envelope{Data: stored, Message: k.title + " stored"})
}

func versionOf(r *pb.Record) readOnly { return readOnly(catalog.RecordVersion(r)) }

// resolver returns a resolver of the locations that records of the organization name.
func (c *call) resolver() (*catalog.Resolver, error) {
	var all []*pb.Destination
	err := c.view(func(tx *catalog.Tx) (err error) {
		all, err = tx.KnownDestinations(c.org)
		return err
	})
	return catalog.NewResolver(all), err
}

// countUnresolved counts the refusal of a record whose location is in no bucket.
func (c *call) countUnresolved(err error) (counted bool) {
	if errors.Is(err, catalog.ErrUnresolved) {
		c.backend.metrics.unresolved.Inc()
		return true
	}
	return false
}

// rejection returns why the catalog refused a record.
func rejection(r *pb.Rejection) *Error {
	switch r.Code {
	case catalog.CodeNotFound:
		return &Error{Code: CodeStorageNotFound, Message: "Storage destination not found", Details: map[string]string{"reason": r.Message}}
	case catalog.CodeBeingDeleted:
		return &Error{Code: CodeBeingDeleted, Message: "The record was refused: " + r.Message}
	case catalog.CodeConflict:
		return &Error{Code: CodeConflict, Message: "The record was refused: " + r.Message}
	}
	return &Error{Code: CodeValidation, Message: "The record was refused: " + r.Message}
}

func (k feedKind) remove(c *call) error {
	condition, err := c.condition()
	if err != nil {
		return err
	}
	result, err := c.propose(&pb.DeleteRecords{Org: c.org, Kind: k.name, Ids: []string{c.id()}, IfVersion: condition})
	if err != nil {
		return orNotFound(err, k.notFound())
	}
	if result.Deleted == 0 {
		return k.notFound()
	}
	return c.respond(envelope{Message: k.title + " deleted"})
}

func readProject(tx *catalog.Tx, org, id string) (record, error) {
	p, err := tx.Project(org, id)
	if err != nil {
		return nil, err
	}
	return &projectRecord{
		ID: p.Id, Name: p.Name,
		Version: versionOf(&pb.Record{Kind: &pb.Record_Project{Project: p}}),
	}, nil
}

func readBackup(tx *catalog.Tx, org, id string) (record, error) {
	b, err := tx.Backup(org, id)
	if err != nil {
		return nil, err
	}
	r := &backupRecord{
		ID: b.Id, StorageID: b.StorageId, ProjectID: b.ProjectId, Status: b.Status, Size: b.Size,
		Collections: append([]string{}, b.Collections...), CreatedAt: stamp(b.CreatedAt), StoragePath: string(b.StoragePath),
		Version: versionOf(&pb.Record{Kind: &pb.Record_Backup{Backup: b}}),
	}
	for _, f := range b.Files {
		r.Files = append(r.Files, string(f))
	}
	return r, nil
}

func readSchedule(tx *catalog.Tx, org, id string) (record, error) {
	s, err := tx.Schedule(org, id)
	if err != nil {
		return nil, err
	}
	return &scheduleRecord{
		ID: s.Id, StorageID: s.StorageId, ProjectID: s.ProjectId, Name: s.Name, Enabled: s.Enabled, CronExpression: s.CronExpression,
		Version: versionOf(&pb.Record{Kind: &pb.Record_Schedule{Schedule: s}}),
	}, nil
}

func readPitr(tx *catalog.Tx, org, id string) (record, error) {
	p, err := tx.Pitr(org, id)
	if err != nil {
		return nil, err
	}
	return &pitrRecord{
		ID: p.Id, StorageID: p.StorageId, ProjectID: p.ProjectId, Enabled: p.Enabled, Status: p.Status, Prefix: string(p.Prefix),
		Version: versionOf(&pb.Record{Kind: &pb.Record_Pitr{Pitr: p}}),
	}, nil
}
