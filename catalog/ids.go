package catalog

import (
	"crypto/rand"
	"strings"

	"github.com/oklog/ulid/v2"
)

// A Kind is what an id names. It is the prefix of the id.
type Kind string

// The kinds of ids that firescan makes. Ids of projects, backups, schedules and PITR
// configurations come from the services that own them.
const (
	KindStorage Kind = "storage"
	KindSync    Kind = "sync"
	KindSegment Kind = "seg"
	KindToken   Kind = "tok"
	KindIntent  Kind = "del"
	KindImport  Kind = "imp"
	KindAudit   Kind = "aud"
)

// NewID returns a new id: the kind, "_" and a ULID in lower case. Ids of one kind sort by
// the millisecond in which they were made.
func NewID(kind Kind) string {
	id := ulid.MustNew(ulid.Now(), rand.Reader)
	return string(kind) + "_" + strings.ToLower(id.String())
}

// NewSegmentID returns a new segment id that names its sync: what a failed sync has left
// behind can be recognized by its file names.
func NewSegmentID(syncID string) string {
	return string(KindSegment) + "_" + ulidOf(syncID) + "_" + ulidOf(NewID(KindSegment))
}

// SegmentOf reports whether a segment was made by a sync.
func SegmentOf(segmentID, syncID string) bool {
	parts := strings.Split(segmentID, "_")
	return len(parts) == 3 && parts[1] == ulidOf(syncID)
}

// ulidOf returns an id without its kind.
func ulidOf(id string) string {
	_, ulid, _ := strings.Cut(id, "_")
	return ulid
}
