package catalog

import (
	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
)

// Records of backups, schedules and PITR configurations lie under their
// destination, since they are listed by it; a second bucket finds them by id.

// Project reads one project.
func (tx *Tx) Project(org, id string) (*pb.Project, error) {
	return found(load[pb.Project](tx.bucket(inProjects), join(org, id)))("project", id)
}

// Projects lists the projects of an organisation by id.
func (tx *Tx) Projects(org string) ([]*pb.Project, error) {
	return list[pb.Project](tx.bucket(inProjects), under(org), "", 0)
}

// Backup reads one backup record.
func (tx *Tx) Backup(org, id string) (*pb.Backup, error) {
	return found(placed[pb.Backup](tx, inBackups, inBackupIDs, org, id))("backup", id)
}

// Backups lists backup records by id: those of a destination, or of the whole
// organisation when destID is empty. after is the last id seen; limit <= 0
// lists all.
func (tx *Tx) Backups(org, destID, after string, limit int) ([]*pb.Backup, error) {
	return listPlaced[pb.Backup](tx, inBackups, inBackupIDs, org, destID, after, limit)
}

// Schedule reads one schedule.
func (tx *Tx) Schedule(org, id string) (*pb.Schedule, error) {
	return found(placed[pb.Schedule](tx, inSchedules, inScheduleIDs, org, id))("schedule", id)
}

// Schedules lists the schedules of a destination, or of the whole organisation
// when destID is empty, by id.
func (tx *Tx) Schedules(org, destID string) ([]*pb.Schedule, error) {
	return listPlaced[pb.Schedule](tx, inSchedules, inScheduleIDs, org, destID, "", 0)
}

// Pitr reads one PITR configuration.
func (tx *Tx) Pitr(org, id string) (*pb.Pitr, error) {
	return found(placed[pb.Pitr](tx, inPitrs, inPitrIDs, org, id))("PITR configuration", id)
}

// Pitrs lists the PITR configurations of a destination, or of the whole
// organisation when destID is empty, by id.
func (tx *Tx) Pitrs(org, destID string) ([]*pb.Pitr, error) {
	return listPlaced[pb.Pitr](tx, inPitrs, inPitrIDs, org, destID, "", 0)
}

// placed reads a record by its id; nil when there is none.
func placed[T any, M message[T]](tx *Tx, records, ids, org, id string) (M, error) {
	dest := tx.bucket(ids).Get(join(org, id))
	if dest == nil {
		return nil, nil
	}
	return load[T, M](tx.bucket(records), join(org, string(dest), id))
}

func listPlaced[T any, M message[T]](tx *Tx, records, ids, org, destID, after string, limit int) ([]M, error) {
	b := tx.bucket(records)
	if destID != "" {
		return list[T, M](b, under(org, destID), after, limit)
	}
	return listByIndex[T, M](tx.bucket(ids), under(org), after, limit, func(id, dest []byte) (*bbolt.Bucket, []byte) {
		return b, join(org, string(dest), string(id))
	})
}

// listByIndex reads the records that an index names.
func listByIndex[T any, M message[T]](index *bbolt.Bucket, prefix []byte, after string, limit int, at func(k, v []byte) (*bbolt.Bucket, []byte)) ([]M, error) {
	var all []M
	for k, v := range scanAfter(index, prefix, after) {
		m, err := load[T, M](at(k, v))
		if err != nil {
			return nil, err
		}
		if all = append(all, m); len(all) == limit {
			break
		}
	}
	return all, nil
}
