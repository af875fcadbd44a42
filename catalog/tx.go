package catalog

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// Tx is a read transaction: one state of the catalog. What its methods return
// is a copy, except for a LinkCursor. A missing record is ErrNotFound, and so is
// another organisation's. Any other error means that the file is damaged.
type Tx struct {
	tx *bbolt.Tx
	// opened are the buckets that this transaction has looked up, nil for those that do
	// not exist. bbolt remembers them only where they may change, and then it must be asked.
	opened map[place]*bbolt.Bucket
}

func (tx *Tx) bucket(name string) *bbolt.Bucket {
	return tx.open(place{bucket: name}, func() *bbolt.Bucket { return tx.tx.Bucket([]byte(name)) })
}

// nested is the bucket of a bucket identity; nil if it has nothing.
func (tx *Tx) nested(name, bucketID string) *bbolt.Bucket {
	return tx.open(place{name, bucketID}, func() *bbolt.Bucket { return tx.bucket(name).Bucket([]byte(bucketID)) })
}

func (tx *Tx) open(at place, look func() *bbolt.Bucket) *bbolt.Bucket {
	if tx.tx.Writable() {
		return look()
	}
	b, known := tx.opened[at]
	if !known {
		if tx.opened == nil {
			tx.opened = map[place]*bbolt.Bucket{}
		}
		b = look()
		tx.opened[at] = b
	}
	return b
}

// AppliedIndex is the index of the last entry that this state includes.
func (tx *Tx) AppliedIndex() uint64 {
	index, _ := applied(tx.tx)
	return index
}

// Keyset is the stored credential keyset, encrypted; nil before the first.
func (tx *Tx) Keyset() []byte {
	return bytes.Clone(tx.bucket(inMeta).Get([]byte(metaKeyset)))
}

// load reads a message; nil when there is none at the key.
func load[T any, M message[T]](b *bbolt.Bucket, key []byte) (M, error) {
	value := b.Get(key)
	if value == nil {
		return nil, nil
	}
	return parse[T, M](key, value)
}

func parse[T any, M message[T]](key, value []byte) (M, error) {
	m := M(new(T))
	if err := proto.Unmarshal(value, m); err != nil {
		return nil, fmt.Errorf("the catalog holds a damaged %T (key %q): restore this node's catalog from another node or a snapshot: %w", m, key, err)
	}
	return m, nil
}

func store(b *bbolt.Bucket, key []byte, m proto.Message) error {
	value, err := deterministic.Marshal(m)
	if err != nil {
		return err
	}
	return b.Put(key, value)
}

func missing(what, id string) error {
	return refuse(CodeNotFound, "%s %q does not exist", what, id)
}

// Destination reads one destination.
func (tx *Tx) Destination(org, id string) (*pb.Destination, error) {
	d, err := load[pb.Destination](tx.bucket(inDestinations), []byte(id))
	if err == nil && (d == nil || d.GetOrg() != org) {
		err = missing("storage destination", id)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Destinations lists the destinations of an organisation by id.
func (tx *Tx) Destinations(org string) ([]*pb.Destination, error) {
	var all []*pb.Destination
	for id := range scan(tx.bucket(inDestinationsByOrg), under(org)) {
		d, err := load[pb.Destination](tx.bucket(inDestinations), id)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// AllDestinations lists the destinations of all organisations by id.
func (tx *Tx) AllDestinations() ([]*pb.Destination, error) {
	return list[pb.Destination](tx.bucket(inDestinations), nil, "", 0)
}

// list reads up to limit messages under a prefix, past after.
func list[T any, M message[T]](b *bbolt.Bucket, prefix []byte, after string, limit int) ([]M, error) {
	var all []M
	for k, v := range scanAfter(b, prefix, after) {
		m, err := parse[T, M](k, v)
		if err != nil {
			return nil, err
		}
		if all = append(all, m); len(all) == limit {
			break
		}
	}
	return all, nil
}

// Counters are what a destination holds, kept up to date by Apply.
type Counters struct {
	Backups     uint64
	BackupBytes uint64
	Schedules   uint64
	Pitr        uint64
}

// Counters reads those of a destination.
func (tx *Tx) Counters(org, destID string) (Counters, error) {
	if _, err := tx.Destination(org, destID); err != nil {
		return Counters{}, err
	}
	return tx.counters(org, destID), nil
}

// counters are kept for deleted destinations too, while records name them.
func (tx *Tx) counters(org, destID string) Counters {
	v := tx.bucket(inCounters).Get(join(org, destID))
	if len(v) != 32 {
		return Counters{}
	}
	n := func(i int) uint64 { return binary.BigEndian.Uint64(v[8*i:]) }
	return Counters{Backups: n(0), BackupBytes: n(1), Schedules: n(2), Pitr: n(3)}
}

func (b *batch) putCounters(org, destID string, n Counters) error {
	key := join(org, destID)
	if n == (Counters{}) {
		return b.bucket(inCounters).Delete(key)
	}
	var v []byte
	for _, x := range []uint64{n.Backups, n.BackupBytes, n.Schedules, n.Pitr} {
		v = binary.BigEndian.AppendUint64(v, x)
	}
	return b.bucket(inCounters).Put(key, v)
}
