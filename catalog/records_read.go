package catalog

import (
	pb "firescan/catalog/catalogpb"
)

// The kinds of records, as DeleteRecords names them.
const (
	KindProject  = "project"
	KindBackup   = "backup"
	KindSchedule = "schedule"
	KindPitr     = "pitr"
)

// A recordKind names the buckets of a kind of records: in one they lie by destination,
// since they are listed by it; another leads from id to destination.
type recordKind struct{ records, ids, what string }

func backupKind() recordKind { return recordKind{inBackups, inBackupIDs, "backup"} }

func scheduleKind() recordKind { return recordKind{inSchedules, inScheduleIDs, "schedule"} }

func pitrKind() recordKind { return recordKind{inPitrs, inPitrIDs, "PITR configuration"} }

func (s recordKind) of(org, destID string) bucketPath {
	return bucketPath{s.records, org + "\x00" + destID}
}

func (s recordKind) index(org string) bucketPath { return bucketPath{s.ids, org} }

// Project returns one project.
func (tx *Tx) Project(org, id string) (*pb.Project, error) {
	p, err := load[pb.Project](tx.bucket(inProjects), join(org, id))
	if err == nil && p == nil {
		err = notFound("project", id)
	}
	return p, err
}

// Projects returns the projects of an organization by id.
func (tx *Tx) Projects(org string) ([]*pb.Project, error) {
	return list[pb.Project](tx.bucket(inProjects), under(org), "", 0)
}

// Backup returns one backup record.
func (tx *Tx) Backup(org, id string) (*pb.Backup, error) {
	return loadRecord[pb.Backup](tx, backupKind(), org, id)
}

// Backups returns backup records by id: those of a destination, or of the whole
// organization when destID is empty. after is the last id seen; limit <= 0 returns all.
func (tx *Tx) Backups(org, destID, after string, limit int) ([]*pb.Backup, error) {
	return listRecords[pb.Backup](tx, backupKind(), org, destID, after, limit)
}

// Schedule returns one schedule.
func (tx *Tx) Schedule(org, id string) (*pb.Schedule, error) {
	return loadRecord[pb.Schedule](tx, scheduleKind(), org, id)
}

// Schedules returns the schedules of a destination, or of the whole organization when
// destID is empty, by id.
func (tx *Tx) Schedules(org, destID string) ([]*pb.Schedule, error) {
	return listRecords[pb.Schedule](tx, scheduleKind(), org, destID, "", 0)
}

// Pitr returns one PITR configuration.
func (tx *Tx) Pitr(org, id string) (*pb.Pitr, error) {
	return loadRecord[pb.Pitr](tx, pitrKind(), org, id)
}

// Pitrs returns the PITR configurations of a destination, or of the whole organization
// when destID is empty, by id.
func (tx *Tx) Pitrs(org, destID string) ([]*pb.Pitr, error) {
	return listRecords[pb.Pitr](tx, pitrKind(), org, destID, "", 0)
}

// loadRecord returns a record by its id.
func loadRecord[T any, M message[T]](tx *Tx, s recordKind, org, id string) (M, error) {
	m, err := lookup[T, M](tx, nil, s, org, id)
	if err == nil && m == nil {
		err = notFound(s.what, id)
	}
	return m, err
}

// lookup returns a record by its id, as it will be after the changes; nil when there is
// none.
func lookup[T any, M message[T]](tx *Tx, c changes, s recordKind, org, id string) (M, error) {
	value := storedValue(tx, c, s, org, id)
	if value == nil {
		return nil, nil
	}
	return parse[T, M]([]byte(id), value)
}

// storedValue returns an encoded record, as lookup does.
func storedValue(tx *Tx, c changes, s recordKind, org, id string) []byte {
	dest := c.get(tx, s.index(org), id)
	if dest == nil {
		return nil
	}
	return c.get(tx, s.of(org, string(dest)), id)
}

// listRecords returns records by id, after the id after.
func listRecords[T any, M message[T]](tx *Tx, s recordKind, org, destID, after string, limit int) ([]M, error) {
	if destID != "" {
		at := s.of(org, destID)
		return list[T, M](tx.nested(at.bucket, at.nested), nil, after, limit)
	}
	var all []M
	at := s.index(org)
	for id, dest := range scanAfter(tx.nested(at.bucket, at.nested), nil, after) {
		from := s.of(org, string(dest))
		m, err := parse[T, M](id, tx.nested(from.bucket, from.nested).Get(id))
		if err != nil {
			return nil, err
		}
		if all = append(all, m); len(all) == limit {
			break
		}
	}
	return all, nil
}
