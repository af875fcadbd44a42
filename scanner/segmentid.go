package scanner

import (
	"strings"

	"firescan/catalog"
)

// newSegmentID names a segment so that its name tells of which sync it is: what a sync
// that came to nothing has left behind can be told from what is needed.
func newSegmentID(syncID string) string {
	return string(catalog.KindSegment) + "_" + ulidOf(syncID) + "_" + ulidOf(catalog.NewID(catalog.KindSegment))
}

// syncOf answers the part of a segment's name that names its sync, as ulidOf does.
func syncOf(segmentID string) string {
	parts := strings.Split(segmentID, "_")
	if len(parts) != 3 {
		return ""
	}
	return parts[1]
}

// ulidOf is an id without its kind.
func ulidOf(id string) string {
	_, ulid, _ := strings.Cut(id, "_")
	return ulid
}
