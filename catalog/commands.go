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
	// MaxEntry is the maximum size of an encoded command in bytes. Larger work is split.
	MaxEntry = 512 << 10
	// ignorable marks the number of a command that a version without support for it may
	// skip without its catalog becoming wrong.
	ignorable = 1 << 15
	// withOnce is added to the version of a command whose envelope has a once. A build
	// without support for it would carry the command out twice, and stops instead.
	withOnce = 1 << 16
)

// A command describes one kind of log entry.
type command struct {
	number uint32
	name   protoreflect.FullName
	// version is the greatest version that this build reads. It is raised when the
	// meaning of a message changes, not when a field is added that older versions may
	// ignore.
	version uint32
	empty   func() proto.Message
	apply   func(*writeTx, proto.Message) (*pb.Result, error)
}

// commands returns the table of all commands. Numbers are part of the log format: append,
// never reuse; a retired command keeps its number.
var commands = sync.OnceValue(func() []command {
	return []command{
		define(1, 3, putDestination),    // 2: with a stem rule; 3: edits that keep the earlier place
		define(2, 2, deleteDestination), // 2: deletions that leave a tombstone
		define(3, 1, setVerified),
		define(4, 4, putRecords),    // 2: backups with references, 3: conditions on versions, PITR references, 4: revisions of destinations
		define(5, 2, deleteRecords), // 2: conditions on versions
		define(6, 2, putToken),      // 2: with the role metrics
		define(7, 1, deleteToken),
		define(8, 1, putKeyset),
		define(9, 1, startSync),
		define(10, 2, sealSegments), // 2: segments that name missing backups
		define(11, 3, promoteSync),  // 2: with a baseline, 3: after a move
		define(12, 1, finishSync),
		define(13, 3, beginDelete),  // 2: paths that are marked under a second name; 3: that lie below named objects
		define(14, 3, finishDelete), // 2: outcomes that hold their marks; 3: under a second name
		define(15, 1, migrate),
		define(16, 2, storeAnswer), // 2: with keys that are forgotten
		define(17, 1, setConditions),
		define(18, 1, reseal),
		define(19, 1, setHolder),
		define(20, 1, forgetNode),
		define(21, 1, unsealSegments),
		define(22, 1, setBucketRelation),
		define(23, 1, proveAccess),
		define(24, 1, setGuards),
		define(25, 1, setKeyMapping),
		define(26|ignorable, 1, recordAudit),
	}
})

func define[T any, M message[T]](number, version uint32, apply func(*writeTx, M) (*pb.Result, error)) command {
	return command{
		number:  number,
		version: version,
		name:    M(new(T)).ProtoReflect().Descriptor().FullName(),
		empty:   func() proto.Message { return M(new(T)) },
		apply:   func(tx *writeTx, m proto.Message) (*pb.Result, error) { return apply(tx, m.(M)) },
	}
}

// Encode returns the log entry of a command. It fails with ErrTooLarge above MaxEntry,
// and on a message that is not a command.
func Encode(msg proto.Message) ([]byte, error) { return EncodeOnce(msg, nil) }

// EncodeOnce is Encode for a command that takes effect once for the key of once, however
// often it is proposed: repetitions return the Result of the first. The same key with
// another fingerprint is ErrConflict. With a nil once it is Encode.
func EncodeOnce(msg proto.Message, once *pb.Once) ([]byte, error) {
	name := msg.ProtoReflect().Descriptor().FullName()
	c, ok := find(func(c command) bool { return c.name == name })
	if !ok {
		return nil, fmt.Errorf("encode %s: not a command of the catalog", name)
	}
	payload, err := deterministic.Marshal(msg)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	env := &pb.Envelope{Number: c.number, Version: versionOf(c, msg), Payload: payload, Once: once}
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

// versionOf returns the least version that understands a message, so that older builds in the
// cluster stop only at what they would apply wrongly.
func versionOf(c command, msg proto.Message) uint32 {
	switch m := msg.(type) {
	case *pb.PutDestination:
		switch {
		case m.GetKeepPlace():
			return 3
		case m.GetDestination().GetStemRule() == pb.StemRule_FIRST_DOT:
			return 1
		}
		return 2
	case *pb.DeleteDestination:
		if m.GetAt() == 0 {
			return 1
		}
	case *pb.PutRecords:
		least := uint32(1)
		for _, r := range m.GetRecords() {
			switch {
			case r.GetBackup().GetRevision() > 0:
				return 4
			case r.GetIfVersion() != "", len(r.GetPitr().GetReferences()) > 0:
				least = 3
			case len(r.GetBackup().GetReferences()) > 0:
				least = max(least, 2)
			}
		}
		return least
	case *pb.DeleteRecords:
		if m.GetIfVersion() == "" {
			return 1
		}
	case *pb.SealSegments:
		if !slices.ContainsFunc(m.GetSegments(), func(g *pb.Segment) bool { return len(g.GetMissingIds()) > 0 }) {
			return 1
		}
	case *pb.PutToken:
		if Role(m.GetToken().GetRole()) != RoleMetrics {
			return 1
		}
	case *pb.StoreAnswer:
		if len(m.GetForget()) == 0 {
			return 1
		}
	case *pb.PromoteSync:
		switch {
		case m.GetMoved():
			return 3
		case m.GetBaseline():
			return 2
		}
		return 1
	case *pb.BeginDelete:
		switch {
		case m.GetBelowNamed():
			return 3
		case slices.ContainsFunc(m.GetPaths(), hasFold):
			return 2
		}
		return 1
	case *pb.FinishDelete:
		if !slices.ContainsFunc(m.GetOutcomes(), (*pb.Outcome).GetHeld) {
			return 1
		}
		if !slices.ContainsFunc(m.GetOutcomes(), func(o *pb.Outcome) bool { return hasFold(o.GetPath()) }) {
			return 2
		}
	}
	return c.version
}

// A decodedCommand is a log entry after decoding.
type decodedCommand struct {
	command
	message proto.Message
	once    *pb.Once // nil if repeating the command is allowed
}

// decode decodes a log entry. It returns nil for one that may be ignored.
func decode(e Entry) (*decodedCommand, error) {
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
	return &decodedCommand{command: c, message: msg, once: env.GetOnce()}, nil
}

func find(is func(command) bool) (command, bool) {
	if i := slices.IndexFunc(commands(), is); i >= 0 {
		return commands()[i], true
	}
	return command{}, false
}
