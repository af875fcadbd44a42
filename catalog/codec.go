package catalog

import (
	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

// message is a pointer to a generated message of type T.
type message[T any] interface {
	*T
	proto.Message
}

// deterministic encodes equal messages to equal bytes, maps included.
var deterministic = proto.MarshalOptions{Deterministic: true}

// load returns the message at a key, nil when there is none.
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
		return nil, damaged("the %T with key %q cannot be read (%w)", m, key, err)
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

// list returns up to limit messages under a prefix, after the key after.
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
