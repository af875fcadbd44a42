package deletion

import (
	"time"

	"github.com/cespare/xxhash/v2"

	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
)

// A candidate is a file to delete: what the decision was about, what exists now, and the
// outcome. One goroutine at a time has it.
type candidate struct {
	path []byte

	// known reports that the index has the file, with this size, time and digest.
	known          bool
	size, modified int64
	digest         uint64
	// absentOK makes an absent file a success.
	absentOK bool

	seen *provider.Info // the object in the bucket; nil when there is none
	gone bool           // the file does not exist anymore
	// versioned reports that the bucket keeps a version of it, so that no space was freed.
	versioned bool
	freed     int64
	err       error
	// keptForOthers reports that only records of other organizations keep the file.
	keptForOthers bool
	// ambiguous reports that a call to delete the file may still act; unconfirmed, that it
	// is therefore unknown whether the file exists.
	ambiguous, unconfirmed bool
}

// expect records the index entry that the decision is about.
func (c *candidate) expect(e *index.Entry) {
	c.known, c.size, c.modified, c.digest = true, e.Size, e.ModTime, e.Digest
}

func (c *candidate) outcome() Outcome {
	return Outcome{Path: c.path, Deleted: c.gone, Absent: c.gone && c.seen == nil, Size: c.freed, Versioned: c.versioned, Err: c.err}
}

// setDeleted records that the file was deleted.
func (c *candidate) setDeleted() {
	c.gone, c.unconfirmed, c.err = true, false, nil
	if c.seen != nil {
		c.freed = c.seen.Size
	}
}

// setResult records the result of a call that deletes the file, with the log of its attempts.
func (c *candidate) setResult(err error, log *provider.AttemptLog) {
	c.ambiguous = log.Ambiguous(string(c.path)) || provider.MayStillAct(err)
	c.versioned = log.Versioned(string(c.path))
	switch kind := provider.KindOf(err); {
	case err == nil, kind == provider.NotFound:
		c.setDeleted()
	case kind == provider.Changed:
		c.err = ErrChanged
	default:
		c.err = err
		c.unconfirmed = c.ambiguous
	}
}

// message returns the outcome as the catalog stores it.
func (c *candidate) message(held bool) *pb.Outcome {
	m := c.outcome().message()
	m.Held = held
	return m
}

// check reports whether the file may be deleted, after it was looked up in the bucket, and
// records the reason if not.
func (c *candidate) check() bool {
	switch {
	case c.err != nil:
		return false
	case c.seen == nil && (c.known || c.absentOK):
		c.gone = true // the index must learn this
		return false
	case c.seen == nil:
		c.err = ErrNotFound
		return false
	case c.known && !c.matches(c.seen):
		c.err = ErrChanged
		return false
	}
	return true
}

// matches reports whether an object is the one that the index has. Lists may have more
// exact times than lookups of single objects. Where they have no tags, the time decides.
func (c *candidate) matches(o *provider.Info) bool {
	diff := o.ModTime.UnixMilli() - c.modified
	sameTime := diff > -1000 && diff < 1000
	if c.digest == noTag {
		return o.Size == c.size && c.modified > 0 && sameTime
	}
	return o.Size == c.size && xxhash.Sum64String(o.Tag) == c.digest && (c.modified <= 0 || sameTime)
}

// noTag is the digest of an index entry that was listed without a tag.
var noTag = xxhash.Sum64String("")

// infoOf returns a listed object as a lookup would.
func infoOf(o *provider.Object) *provider.Info {
	return &provider.Info{Key: string(o.Key), Size: o.Size, ModTime: time.UnixMilli(o.ModTime), Tag: string(o.Tag)}
}
