package catalog

import (
	pb "firescan/catalog/catalogpb"
)

// shelf is where records of a kind lie: in one bucket by destination, since they
// are listed by it, and in another the destination by id.
type shelf struct{ records, ids, what string }

func backupShelf() shelf   { return shelf{inBackups, inBackupIDs, "backup"} }
func scheduleShelf() shelf { return shelf{inSchedules, inScheduleIDs, "schedule"} }
func pitrShelf() shelf     { return shelf{inPitrs, inPitrIDs, "PITR configuration"} }

func (s shelf) of(org, destID string) place { return place{s.records, org + "\x00" + destID} }
func (s shelf) index(org string) place      { return place{s.ids, org} }

// Project reads one project.
func (tx *Tx) Project(org, id string) (*pb.Project, error) {
	p, err := load[pb.Project](tx.bucket(inProjects), join(org, id))
	if err == nil && p == nil {
		err = missing("project", id)
	}
	return p, err
}

// Projects lists the projects of an organisation by id.
func (tx *Tx) Projects(org string) ([]*pb.Project, error) {
	return list[pb.Project](tx.bucket(inProjects), under(org), "", 0)
}

// Backup reads one backup record.
func (tx *Tx) Backup(org, id string) (*pb.Backup, error) {
	return placed[pb.Backup](tx, backupShelf(), org, id)
}

// Backups lists backup records by id: those of a destination, or of the whole
// organisation when destID is empty. after is the last id seen; limit <= 0
// lists all.
func (tx *Tx) Backups(org, destID, after string, limit int) ([]*pb.Backup, error) {
	return listPlaced[pb.Backup](tx, backupShelf(), org, destID, after, limit)
}

// Schedule reads one schedule.
func (tx *Tx) Schedule(org, id string) (*pb.Schedule, error) {
	return placed[pb.Schedule](tx, scheduleShelf(), org, id)
}

// Schedules lists the schedules of a destination, or of the whole organisation
// when destID is empty, by id.
func (tx *Tx) Schedules(org, destID string) ([]*pb.Schedule, error) {
	return listPlaced[pb.Schedule](tx, scheduleShelf(), org, destID, "", 0)
}

// Pitr reads one PITR configuration.
func (tx *Tx) Pitr(org, id string) (*pb.Pitr, error) {
	return placed[pb.Pitr](tx, pitrShelf(), org, id)
}

// Pitrs lists the PITR configurations of a destination, or of the whole
// organisation when destID is empty, by id.
func (tx *Tx) Pitrs(org, destID string) ([]*pb.Pitr, error) {
	return listPlaced[pb.Pitr](tx, pitrShelf(), org, destID, "", 0)
}

// placed reads a record by its id.
func placed[T any, M message[T]](tx *Tx, s shelf, org, id string) (M, error) {
	m, err := lookup[T, M](tx, nil, s, org, id)
	if err == nil && m == nil {
		err = missing(s.what, id)
	}
	return m, err
}

// lookup reads a record by its id, as it will be after the changes; nil when
// there is none.
func lookup[T any, M message[T]](tx *Tx, c changes, s shelf, org, id string) (M, error) {
	dest := c.get(tx, s.index(org), id)
	if dest == nil {
		return nil, nil
	}
	return parse[T, M]([]byte(id), c.get(tx, s.of(org, string(dest)), id))
}

// listPlaced lists records by id, past after.
func listPlaced[T any, M message[T]](tx *Tx, s shelf, org, destID, after string, limit int) ([]M, error) {
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
