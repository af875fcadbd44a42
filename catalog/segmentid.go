package catalog

import "strings"

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
