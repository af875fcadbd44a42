package catalog

import (
	"encoding/binary"
)

// Counters count the records of a destination. Apply keeps them up to date.
type Counters struct {
	Backups     uint64
	BackupBytes uint64
	Schedules   uint64
	Pitr        uint64
}

// Counters returns the counters of a destination or of a tombstone.
func (tx *Tx) Counters(org, destID string) (Counters, error) {
	d, _, err := tx.known(org, destID)
	if err == nil && d == nil {
		err = notFound("storage destination", destID)
	}
	if err != nil {
		return Counters{}, err
	}
	return loadCounters(tx, org, destID), nil
}

// loadCounters returns the counters of a destination, which are kept after its deletion
// while records name it.
func loadCounters(tx *Tx, org, destID string) Counters {
	v := tx.bucket(inCounters).Get(join(org, destID))
	if len(v) != 32 {
		return Counters{}
	}
	n := func(i int) uint64 { return binary.BigEndian.Uint64(v[8*i:]) }
	return Counters{Backups: n(0), BackupBytes: n(1), Schedules: n(2), Pitr: n(3)}
}

func putCounters(tx *writeTx, org, destID string, n Counters) error {
	key := join(org, destID)
	if n == (Counters{}) {
		return tx.bucket(inCounters).Delete(key)
	}
	var v []byte
	for _, x := range []uint64{n.Backups, n.BackupBytes, n.Schedules, n.Pitr} {
		v = binary.BigEndian.AppendUint64(v, x)
	}
	return tx.bucket(inCounters).Put(key, v)
}
