package index

import (
	"encoding/json"
)

// formatVersion is the version of the file format that this code reads and writes.
const formatVersion = 1

// The buckets of a segment's bbolt file.
var (
	bucketMeta    = []byte("meta")    // keyMeta → segmentMeta as JSON, keySummary → summary
	bucketBlocks  = []byte("blocks")  // first path → block
	bucketMissing = []byte("missing") // path, 0, backup id → see missingValue
	keyMeta       = []byte("meta")
	keySummary    = []byte("summary")
)

// segmentMeta is the metadata in the file of a segment.
type segmentMeta struct {
	Version      int    `json:"version"`
	ID           string `json:"id"`
	Start        []byte `json:"start"`
	End          []byte `json:"end"` // empty = unbounded
	ClassifiedAt uint64 `json:"classifiedAt"`
	Applied      uint64 `json:"applied"` // the newest change that the file holds, 0 as sealed
	Entries      uint64 `json:"entries"`
	Blocks       int    `json:"blocks"`
	Missing      int    `json:"missing"`
	Cells        cells  `json:"cells"`
	Newest       uint32 `json:"newest"`
	Content      uint64 `json:"content"` // sum of the checksums of blocks and missing records
	Sealed       uint64 `json:"sealed"`  // Content when it was sealed: names the segment for the catalog
}

func (m *segmentMeta) encode() ([]byte, error) { return json.Marshal(m) }

func decodeMeta(buf []byte) (*segmentMeta, error) {
	m := new(segmentMeta)
	if err := json.Unmarshal(buf, m); err != nil {
		return nil, corruptf("meta: %v", err)
	}
	if m.Version != formatVersion {
		return nil, corruptf("format version %d, this program reads version %d", m.Version, formatVersion)
	}
	return m, nil
}

// horizon returns the catalog index up to which the segment includes changes.
func (m *segmentMeta) horizon() uint64 { return max(m.ClassifiedAt, m.Applied) }

func (m *segmentMeta) info(fileSize int64) SegmentInfo {
	info := SegmentInfo{
		ID: m.ID, Start: m.Start, End: m.End, Stats: m.Cells.stats(), Missing: m.Missing,
		ClassifiedAt: m.ClassifiedAt, Checksum: m.Sealed, FileSize: fileSize,
	}
	if len(info.End) == 0 {
		info.End = nil
	}
	return info
}
