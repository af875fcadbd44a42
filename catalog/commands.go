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
	// withOnce is added to the version of a command whose envelope has a once: a build
	// that does not know of it would carry the command out twice, and must stop instead.
	withOnce = 1 << 16
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
		define(13, 1, (*batch).beginDelete),
		define(14, 1, (*batch).finishDelete),
		define(15, 1, (*batch).migrate),
		define(16, 1, (*batch).storeAnswer),
		define(17, 1, (*batch).setConditions),
		define(18, 1, (*batch).reseal),
		define(19, 1, (*batch).setHolder),
		define(20, 1, (*batch).forgetNode),
		define(21, 1, (*batch).unsealSegments),
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
func Encode(msg proto.Message) ([]byte, error) { return EncodeOnce(msg, nil) }

// EncodeOnce is Encode for a command that takes effect once for the key of once, however
// often it is proposed: what comes later is answered with the Result of the first. The
// same key with another fingerprint is ErrConflict. nil is Encode.
func EncodeOnce(msg proto.Message, once *pb.Once) ([]byte, error) {
	name := msg.ProtoReflect().Descriptor().FullName()
	c, ok := find(func(c command) bool { return c.name == name })
	if !ok {
		return nil, fmt.Errorf("encode %s: it is not a command of the catalog", name)
	}
	payload, err := deterministic.Marshal(msg)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	env := &pb.Envelope{Number: c.number, Version: c.version, Payload: payload, Once: once}
	if once != nil {
		env.Version |= withOnce
	}
	data, err := deterministic.Marshal(env)
	if err != nil {
		return nil, fmt.Errorf("encode the envelope of %s: %w", name, err)
	}
	if len(data) > MaxEntry {
		return nil, fmt.Errorf("encode %s: %d bytes of at most %d: %w", name, len(data), MaxEntry, ErrTooLarge)
	}
	return data, nil
}

// order is a log entry that was decoded.
type order struct {
	command
	message proto.Message
	once    *pb.Once // nil: as often as it comes
}

// decode reads a log entry; nil for one that may be ignored.
func decode(e Entry) (*order, error) {
	var env pb.Envelope
	if err := proto.Unmarshal(e.Data, &env); err != nil {
		return nil, fmt.Errorf("decode the envelope of log entry %d: %w", e.Index, err)
	}
	c, known := find(func(c command) bool { return c.number == env.GetNumber() })
	if !known && env.GetNumber()&ignorable != 0 {
		return nil, nil
	}
	version := env.GetVersion()
	if env.GetOnce() != nil {
		version &^= withOnce
	}
	if !known || version == 0 || version > c.version {
		return nil, &UnknownCommandError{Index: e.Index, Number: env.GetNumber(), Version: env.GetVersion()}
	}
	msg := c.empty()
	if err := proto.Unmarshal(env.GetPayload(), msg); err != nil {
		return nil, fmt.Errorf("decode command %d of log entry %d: %w", c.number, e.Index, err)
	}
	return &order{command: c, message: msg, once: env.GetOnce()}, nil
}

func find(is func(command) bool) (command, bool) {
	if i := slices.IndexFunc(commands(), is); i >= 0 {
		return commands()[i], true
	}
	return command{}, false
}
