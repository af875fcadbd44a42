package catalog

import (
	"encoding/binary"
	"hash/crc32"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

// castagnoli is the polynomial of which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumSize is the length of the checksum at the end of a value, in bytes.
const checksumSize = 4

// withChecksum appends a value and a checksum of it and its key. Values that decide that a
// file is not needed have one.
func withChecksum(dst []byte, seed uint32, key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, value...), checksum(seed, key, value))
}

// cutChecksum returns a value without its checksum, and false if that is wrong.
func cutChecksum(seed uint32, key, value []byte) ([]byte, bool) {
	n := len(value) - checksumSize
	if n < 0 || checksum(seed, key, value[:n]) != binary.BigEndian.Uint32(value[n:]) {
		return nil, false
	}
	return value[:n], true
}

func checksum(seed uint32, key, value []byte) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, key), castagnoli, value)
}

// loadChecked is load for a value with a checksum.
func loadChecked[T any, M message[T]](b *bbolt.Bucket, key []byte) (M, error) {
	value := b.Get(key)
	if value == nil {
		return nil, nil
	}
	value, ok := cutChecksum(0, key, value)
	if !ok {
		return nil, damaged("the checksum of the value with key %q is wrong", key)
	}
	return parse[T, M](key, value)
}

// storeChecked is store for a value with a checksum.
func storeChecked(b *bbolt.Bucket, key []byte, m proto.Message) error {
	value, err := deterministic.Marshal(m)
	if err != nil {
		return err
	}
	return b.Put(key, withChecksum(nil, 0, key, value))
}
