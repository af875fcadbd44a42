package catalog

import (
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "firescan/catalog/catalogpb"
)

const (
	// MaxEntry is the greatest encoded command, in bytes. Larger work is sent in pieces.
	MaxEntry = 512 << 10
	// ignorable marks the number of a command that a version which does not
	// know it may skip without its catalog becoming wrong.
	ignorable = 1 << 15
)

// command describes one kind of log entry.
type command struct {
	number uint32
	name   protoreflect.FullName
	// version is the greatest one that this build reads. It is raised when the
	// meaning of a message changes, not when a field is added that older
	// versions may overlook.
	version uint32
	empty   func() proto.Message
	apply   func(*batch, proto.Message) (*pb.Result, error)
}

// commands is the table of all commands. Numbers are part of the log's format:
// append, never reuse; a retired command keeps its number.
var commands = sync.OnceValue(func() []command {
	return []command{
		define(1, 1, (*batch).putDestination),
		define(2, 1, (*batch).deleteDestination),
		define(3, 1, (*batch).setVerified),
		define(4, 1, (*batch).putRecords),
		define(5, 1, (*batch).deleteRecords),
		define(6, 1, (*batch).putToken),
		define(7, 1, (*batch).deleteToken),
		define(8, 1, (*batch).putKeyset),
		define(9, 1, (*batch).startSync),
		define(10, 1, (*batch).sealSegments),
		define(11, 1, (*batch).promoteSync),
		define(12, 1, (*batch).finishSync),
	}
})

// message is a pointer to a generated message of type T.
type message[T any] interface {
	*T
	proto.Message
}

func define[T any, M message[T]](number, version uint32, apply func(*batch, M) (*pb.Result, error)) command {
	return command{
		number:  number,
		version: version,
		name:    M(new(T)).ProtoReflect().Descriptor().FullName(),
		empty:   func() proto.Message { return M(new(T)) },
		apply:   func(b *batch, m proto.Message) (*pb.Result, error) { return apply(b, m.(M)) },
	}
}

// deterministic makes equal messages equal bytes, maps included.
var deterministic = proto.MarshalOptions{Deterministic: true}

// Encode turns a command into the bytes of a log entry. It fails with
// ErrTooLarge above MaxEntry, and on a message that is no command.
func Encode(msg proto.Message) ([]byte, error) {
	name := msg.ProtoReflect().Descriptor().FullName()
	c, ok := find(func(c command) bool { return c.name == name })
	if !ok {
		return nil, fmt.Errorf("encode %s: it is not a command of the catalog", name)
	}
	payload, err := deterministic.Marshal(msg)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	data, err := deterministic.Marshal(&pb.Envelope{Number: c.number, Version: c.version, Payload: payload})
	if err != nil {
		return nil, fmt.Errorf("encode the envelope of %s: %w", name, err)
	}
	if len(data) > MaxEntry {
		return nil, fmt.Errorf("encode %s: %d bytes of at most %d: %w", name, len(data), MaxEntry, ErrTooLarge)
	}
	return data, nil
}

// decode finds the command of a log entry and its message, which is nil for an
// entry that may be ignored.
func decode(e Entry) (command, proto.Message, error) {
	var env pb.Envelope
	if err := proto.Unmarshal(e.Data, &env); err != nil {
		return command{}, nil, fmt.Errorf("decode the envelope of log entry %d: %w", e.Index, err)
	}
	c, known := find(func(c command) bool { return c.number == env.GetNumber() })
	if !known && env.GetNumber()&ignorable != 0 {
		return command{}, nil, nil
	}
	if !known || env.GetVersion() == 0 || env.GetVersion() > c.version {
		return command{}, nil, &UnknownCommandError{Index: e.Index, Number: env.GetNumber(), Version: env.GetVersion()}
	}
	msg := c.empty()
	if err := proto.Unmarshal(env.GetPayload(), msg); err != nil {
		return command{}, nil, fmt.Errorf("decode command %d of log entry %d: %w", c.number, e.Index, err)
	}
	return c, msg, nil
}

func find(is func(command) bool) (command, bool) {
	if i := slices.IndexFunc(commands(), is); i >= 0 {
		return commands()[i], true
	}
	return command{}, false
}
