package catalog

import (
	"errors"
	"fmt"

	pb "firescan/catalog/catalogpb"
)

// The codes of a Result or a Rejection. Proposers store them and errors.Is compares them,
// so a code is never renamed.
const (
	CodeNotFound     = "NOT_FOUND"
	CodeConflict     = "CONFLICT"
	CodeInvalid      = "INVALID"
	CodeInUse        = "IN_USE"
	CodeSyncRunning  = "SYNC_IN_PROGRESS"
	CodeNotOrphan    = "FILE_NOT_ORPHAN"
	CodeBeingDeleted = "PATH_BEING_DELETED"
	CodeUnresolved   = "UNRESOLVED"
	CodeUnsettled    = "IDENTITY_UNSETTLED"
	CodeMoved        = "STORAGE_MOVED"
	// CodeDamaged is the refusal of a node whose catalog is damaged. Other nodes decide
	// differently, so this one must replace its catalog.
	CodeDamaged = "CATALOG_DAMAGED"
)

// Refusals of commands and readers. errors.Is compares them by code, so an *Error with a
// longer message still matches.
var (
	// ErrNotFound is returned when the record does not exist, or belongs to
	// another organization.
	ErrNotFound error = &Error{Code: CodeNotFound, Message: "no such record"}
	// ErrConflict is returned when a command contradicts stored state: the
	// id is taken, the sync has ended, the segments overlap or leave a gap.
	ErrConflict error = &Error{Code: CodeConflict, Message: "the catalog holds something else"}
	// ErrInvalid is returned when a command is malformed: an empty id, a
	// negative size, a key that is too long.
	ErrInvalid error = &Error{Code: CodeInvalid, Message: "malformed command"}
	// ErrInUse is returned by the deletion of a destination that schedules or
	// PITR configurations use.
	ErrInUse error = &Error{Code: CodeInUse, Message: "the destination is in use"}
	// ErrSyncRunning is returned when something has to wait for a running sync.
	// No command returns it: StartSync returns the running sync instead.
	ErrSyncRunning error = &Error{Code: CodeSyncRunning, Message: "a sync of the destination is running"}
	// ErrNotOrphan is returned by the deletion of a file that a record needs.
	ErrNotOrphan error = &Error{Code: CodeNotOrphan, Message: "the file is needed"}
	// ErrBeingDeleted is returned when a record would link a file that is being
	// deleted, and by a second deletion of such a file.
	ErrBeingDeleted error = &Error{Code: CodeBeingDeleted, Message: "the file is being deleted"}
)

// ErrUnresolved is returned for a record that names a location in none of the buckets of its
// organization.
var ErrUnresolved error = &Error{Code: CodeUnresolved, Message: "the location is in no bucket of the organization"}

// ErrUnsettled is returned for deletions in a bucket that may be the one of another
// destination under another endpoint.
var ErrUnsettled error = &Error{Code: CodeUnsettled, Message: "two destinations may be one bucket"}

// ErrUndecided is returned by the deletion of a file of which a damaged catalog does not show
// whether it is needed.
var ErrUndecided error = &Error{Code: CodeDamaged, Message: "the catalog is damaged and does not show whether the file is needed"}

// ErrMoved is returned when the files of a backup are not in the bucket in which its
// destination lies by now.
var ErrMoved error = &Error{Code: CodeMoved, Message: "the files of the backup are in another bucket"}

// Failures of the catalog itself.
var (
	// ErrClosed is returned when the catalog is used after Close.
	ErrClosed = errors.New("the catalog is closed")
	// ErrTooLarge is returned when an encoded command exceeds MaxEntry.
	ErrTooLarge = errors.New("the command is too large for one log entry")
	// ErrFormat is returned when a catalog file or a snapshot was written by a
	// newer version of firescan, or is not a catalog.
	ErrFormat = errors.New("not a catalog of a format that this version reads")
	// ErrDamaged is returned when a snapshot was cut short or altered.
	ErrDamaged = errors.New("the snapshot is damaged")
	// ErrCatalogDamaged is returned when the catalog file contradicts itself, or the catalogs
	// of other nodes.
	ErrCatalogDamaged = errors.New("the catalog of this node is damaged")
)

// An Error is a refusal: the catalog is unchanged and works. The message is written for
// the person who made the request.
type Error struct {
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Message }

// Is reports whether target is a refusal with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// ResultError returns the refusal in a result, nil when the command was carried out.
// Rejections of single records are no error; see Result.Rejected.
func ResultError(r *pb.Result) error {
	if r.GetCode() == "" {
		return nil
	}
	return &Error{Code: r.GetCode(), Message: r.GetMessage()}
}

// An UnknownCommandError reports a log entry that this version of firescan cannot apply.
// The node must stop and be upgraded: continuing would make its catalog differ from the
// others.
type UnknownCommandError struct {
	// Index is the log index of the entry.
	Index uint64
	// Number and Version are taken from its envelope.
	Number, Version uint32
}

func (e *UnknownCommandError) Error() string {
	return fmt.Sprintf("log entry %d holds command %d in version %d, which this version of firescan does not know: upgrade this node and start it again",
		e.Index, e.Number, e.Version)
}

// withoutMessages returns copies of rejections for storing. Messages may differ between
// versions, and stored bytes must not.
func withoutMessages(rejected []*pb.Rejection) []*pb.Rejection {
	var all []*pb.Rejection
	for _, r := range rejected {
		all = append(all, &pb.Rejection{Index: r.GetIndex(), Code: r.GetCode()})
	}
	return all
}

// withMessages gives stored rejections the general message of their code.
func withMessages(rejected []*pb.Rejection) []*pb.Rejection {
	for _, r := range rejected {
		for _, err := range []error{ErrNotFound, ErrConflict, ErrInvalid, ErrInUse, ErrNotOrphan, ErrBeingDeleted, ErrUndecided} {
			if errors.Is(err, &Error{Code: r.GetCode()}) {
				r.Message = err.Error()
			}
		}
	}
	return rejected
}

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func notFound(what, id string) error {
	return refuse(CodeNotFound, "%s %q does not exist", what, id)
}

// damageAdvice ends the messages of damage.
const damageAdvice = "nothing is deleted through this node; in a cluster it replaces its catalog by that of another node, " +
	"a single node needs a copy of its data directory, or a new one and an import of all records"

// damaged returns an ErrCatalogDamaged.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", ErrCatalogDamaged, fmt.Errorf(format, args...), damageAdvice)
}
