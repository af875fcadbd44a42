package deletion

import (
	"errors"
	"strings"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

// Reasons why a file was not deleted, besides the refusals of the catalog (*catalog.Error)
// and the failures of the provider (*provider.Error).
var (
	// ErrNotFound is returned when neither the index nor the bucket has the file.
	ErrNotFound = errors.New("file not found")
	// ErrChanged is returned when the file differs from what the last scan saw, or was
	// replaced at this moment: the decision was about another file.
	ErrChanged = errors.New("the file has changed since the last scan: sync the destination and check it again")
	// ErrUnconfirmed is returned when the provider did not confirm the deletion and the file
	// still exists. It stays marked until no call can delete it anymore (provider.MaxHold).
	ErrUnconfirmed = errors.New("the provider did not confirm the deletion and the file still exists: it is checked again within half an hour")
	// ErrRecordKept is returned for a backup whose files were deleted and whose record was
	// not, because the catalog did not respond.
	ErrRecordKept = errors.New("the files are deleted and the record is not yet: delete the backup again")
	// ErrTooManyFiles is returned for a backup that is not deleted, because too many files share
	// its stem or those of the backups of the same request.
	ErrTooManyFiles = errors.New("the backups of the request have too many files: delete fewer backups at once, or sync the destination and delete the files by their paths")
	// ErrFolder is returned for a deleted backup that names a folder: the files below it stay.
	ErrFolder = errors.New("the backup names a folder; its files were not deleted: sync the destination and delete the files below the folder by their paths")
	// ErrNeverSynced is returned by Plan and Cleanup before the first generation.
	ErrNeverSynced = errors.New("the destination was never synced, so no orphans are known: sync it first")
	// ErrStopping is returned when the node stops before it reached the file.
	ErrStopping = errors.New("the node is stopping")
)

// Reasons recorded for files of an intent that Recover finishes.
var (
	errAbandoned   = errors.New("the node that was deleting it stopped")
	errStillExists = errors.New("the provider did not confirm the deletion, and the file still exists")
)

// maxReason bounds the recorded reason of one file, in bytes.
const maxReason = 100

// An Outcome is the result for one file.
type Outcome struct {
	Path []byte
	// Deleted reports that the file does not exist anymore.
	Deleted bool
	// Absent reports that it did not exist when the deletion began.
	Absent bool
	// Size is the size of the deleted file in bytes.
	Size int64
	// Versioned reports that the bucket keeps a version of the deleted file, so that no space
	// was freed.
	Versioned bool
	// Err is the reason why it was not deleted: one of the Err values of this package, a
	// *catalog.Error or a *provider.Error.
	Err error
}

// Freed returns the number of bytes that the deletion has freed.
func (o Outcome) Freed() int64 {
	if o.Versioned {
		return 0
	}
	return o.Size
}

// Retained reports that the file was not deleted because it is under retention or a hold.
func (o Outcome) Retained() bool { return provider.KindOf(o.Err) == provider.Retained }

// message returns the outcome as the catalog stores it.
func (o Outcome) message() *pb.Outcome {
	m := &pb.Outcome{Path: o.Path, Deleted: o.Deleted, Size: o.Size, Versioned: o.Versioned, Retained: o.Retained()}
	switch {
	case o.Absent:
		m.Reason = "it was already gone"
	case o.Err != nil:
		m.Reason = Reason(o.Err)
	}
	return m
}

// label returns the outcome as metrics name it.
func (o Outcome) label() string {
	_, refused := errors.AsType[*catalog.Error](o.Err)
	switch {
	case o.Absent, errors.Is(o.Err, ErrNotFound):
		return "absent"
	case o.Deleted:
		return "deleted"
	case refused:
		return "refused"
	case o.Retained():
		return "retained"
	case errors.Is(o.Err, ErrChanged):
		return "changed"
	case errors.Is(o.Err, ErrUnconfirmed):
		return "unsettled"
	}
	return "failed"
}

// Reason returns why a file was not deleted, for a person, in at most 100 bytes.
func Reason(err error) string {
	text := err.Error()
	if known, ok := errors.AsType[*provider.Error](err); ok {
		text = known.Explain()
	}
	if len(text) > maxReason {
		text = text[:maxReason-3] + "..."
	}
	return strings.ToValidUTF8(text, "")
}
