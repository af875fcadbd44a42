// Package index stores the files that a scan found in a bucket, one entry per file, in
// sealed segments of front-coded blocks, and serves queries and counts from them. See
// DESIGN.md.
package index

import (
	"fmt"
	"strings"
)

// A Type is the type of a file, by its name.
type Type uint8

// The types, in the order in which they are stored. The numbers are part of the file
// format.
const (
	Backup Type = iota
	Meta
	Auth
	Pitr
	Unknown

	numTypes = 5
)

var typeNames = [numTypes]string{"backup", "meta", "auth", "pitr", "unknown"}

// String returns the lower-case name that the API shows.
func (t Type) String() string {
	if int(t) < numTypes {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// ParseType parses a name as String writes it, in any case.
func ParseType(s string) (Type, error) {
	for i, name := range typeNames {
		if strings.EqualFold(s, name) {
			return Type(i), nil
		}
	}
	return Unknown, fmt.Errorf("index: no file type %q (one of %s)", s, strings.Join(typeNames[:], ", "))
}

// An Entry is one file of a bucket.
type Entry struct {
	Path    []byte // the full object key, 1 to MaxPath bytes
	Size    int64  // bytes, not negative
	ModTime int64  // Unix milliseconds; 0 (or less) = unknown, which no ModifiedBefore matches
	Digest  uint64 // xxhash64 of the provider's tag (ETag, generation)
	Type    Type
	Linked  bool // a backup record needs it; false = orphan
	ByStem  bool // it is linked only because it shares the stem of a record's storagePath
}

// A Class is the part of an entry that links decide.
type Class struct {
	Type           Type
	Linked, ByStem bool // as in Entry
}

// MaxPath is the maximum length of a path in bytes. S3 and GCS allow 1,024.
const MaxPath = 4096

// Usage counts files and their bytes.
type Usage struct {
	Files uint64
	Bytes uint64
}

func (t *Usage) add(o Usage) {
	t.Files += o.Files
	t.Bytes += o.Bytes
}

// Counts are the usage of one type.
type Counts struct {
	Linked, Orphan Usage
	ByStem         Usage // the part of Linked that only a stem links
}

// Stats are exact counts by type and link.
type Stats struct {
	ByType [numTypes]Counts
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	for t := range s.ByType {
		s.ByType[t].Linked.add(o.ByType[t].Linked)
		s.ByType[t].Orphan.add(o.ByType[t].Orphan)
		s.ByType[t].ByStem.add(o.ByType[t].ByStem)
	}
}

// Totals returns the sums of s over all types.
func (s *Stats) Totals() Totals {
	var t Totals
	for i := range s.ByType {
		t.addLinked(s.ByType[i].Linked)
		t.addOrphan(s.ByType[i].Orphan)
		t.addByStem(s.ByType[i].ByStem)
	}
	return t
}

// Files returns the number of files of every type, orphans included.
func (s *Stats) Files() uint64 { return s.Totals().Files }

// Bytes returns the size of all files.
func (s *Stats) Bytes() uint64 { return s.Totals().Bytes }

// OrphanFiles returns the number of orphans of every type.
func (s *Stats) OrphanFiles() uint64 { return s.Totals().OrphanFiles }

// OrphanBytes returns the size of all orphans.
func (s *Stats) OrphanBytes() uint64 { return s.Totals().OrphanBytes }

// Totals are the sums over the matches of a filter; Files and Bytes include orphans.
type Totals struct {
	Files, Bytes             uint64
	OrphanFiles, OrphanBytes uint64
	ByStemFiles, ByStemBytes uint64 // linked by a stem alone (see Entry.ByStem)
}

// Add adds o to t.
func (t *Totals) Add(o Totals) {
	t.Files += o.Files
	t.Bytes += o.Bytes
	t.OrphanFiles += o.OrphanFiles
	t.OrphanBytes += o.OrphanBytes
	t.ByStemFiles += o.ByStemFiles
	t.ByStemBytes += o.ByStemBytes
}

func (t *Totals) addLinked(n Usage) {
	t.Files += n.Files
	t.Bytes += n.Bytes
}

func (t *Totals) addOrphan(n Usage) {
	t.addLinked(n)
	t.OrphanFiles += n.Files
	t.OrphanBytes += n.Bytes
}

// addByStem notes that files which are counted already are linked by a stem alone.
func (t *Totals) addByStem(n Usage) {
	t.ByStemFiles += n.Files
	t.ByStemBytes += n.Bytes
}

// A Missing is an object that a backup record names and that was not seen.
type Missing struct {
	Org, BackupID []byte
	Path          []byte // the key of the object; with a slash at its end a folder without files
}

// SegmentInfo describes a sealed segment.
type SegmentInfo struct {
	ID           string
	Start, End   []byte // half-open range; a nil End is unbounded
	Stats        Stats
	Missing      int    // objects listed as missing
	ClassifiedAt uint64 // catalog index that the links were read at
	Checksum     uint64 // of the content as it was sealed; deltas do not change it
	FileSize     int64
}

// A Query selects files. The zero Query selects all files.
type Query struct {
	Prefix      []byte
	Cursor      []byte // exclusive: the last path already seen
	Limit       int    // 0 = no limit
	Type        *Type  // nil = any
	OrphansOnly bool
	// ModifiedBefore is an exclusive bound in Unix milliseconds, rounded down to the
	// minute (the direction in which no file counts as older than it is); 0 = off. Files
	// of unknown time never match.
	ModifiedBefore int64
}

// A Change states which files to look up again. Applying it twice is harmless.
type Change struct {
	Index    uint64   // of the catalog entry that made the change; ascending
	Stems    [][]byte // the links of files with these stems may have changed
	Prefixes [][]byte // the links and types of files under these prefixes may have changed
	Deleted  [][]byte // these files are gone
}
