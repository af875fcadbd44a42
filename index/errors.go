package index

import (
	"errors"
	"fmt"
)

var (
	// ErrNoShard is returned when a destination has no promoted generation here.
	ErrNoShard = errors.New("index: no shard for this destination; it needs a sync")
	// ErrNoSegment is returned when a sealed segment is not in the store.
	ErrNoSegment = errors.New("index: no such segment")
	// ErrExists is returned by NewSegment when a sealed segment of that name is already
	// there.
	ErrExists = errors.New("index: the segment exists already")
	// ErrOrder is returned by Add when paths do not ascend strictly or fall outside the
	// segment's range.
	ErrOrder = errors.New("index: path out of order")
	// ErrInvalid is returned for an argument that can never be right: an empty path, a
	// negative size, a bad name.
	ErrInvalid = errors.New("index: invalid argument")
	// ErrStale is returned by ApplyChanges when the generation is not the promoted one.
	ErrStale = errors.New("index: not the current generation")
	// ErrClosed is returned by a store, writer or view that was closed.
	ErrClosed = errors.New("index: closed")

	// errCorrupt marks damage found by the decoders; the store wraps it in a CorruptError
	// with the place.
	errCorrupt = errors.New("damaged data")
	// errFault marks damage that made bbolt panic or the processor fault.
	errFault = errors.New("fault")
)

// A CorruptError is returned when a segment or a manifest is torn or altered. The whole
// shard is suspect: no file may be deleted because of it. The damaged file has been
// renamed to *.bad; fetch the segment again from a replica or scan again.
type CorruptError struct {
	Destination string
	Segment     string // empty when it is the shard's manifest
	Err         error
}

// Error names the place and the next step.
func (e *CorruptError) Error() string {
	what := "segment " + e.Segment
	if e.Segment == "" {
		what = "manifest"
	}
	return fmt.Sprintf("index: %s of destination %s is damaged: %v; fetch it again or start a sync", what, e.Destination, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// corruptf returns an error that marks damage.
func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errCorrupt, fmt.Sprintf(format, args...))
}
