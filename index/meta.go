package index

import (
	"encoding/json"
)

// The versions of the file format that this code reads. It writes the first one that has
// room for the entries, so that older programs read all other files.
const (
	formatVersion = 1
	// byStemVersion has entries that only a stem links.
	byStemVersion = 2
)

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

func (m *segmentMeta) encode() ([]byte, error) {
	m.Version = formatVersion
	if len(m.Cells.stored()) > byStemCell {
		m.Version = byStemVersion
	}
	return json.Marshal(m)
}

func decodeMeta(buf []byte) (*segmentMeta, error) {
	m := new(segmentMeta)
	if err := json.Unmarshal(buf, m); err != nil {
		return nil, corruptf("meta: %v", err)
	}
	if m.Version < formatVersion || m.Version > byStemVersion {
		return nil, corruptf("format version %d, this program reads versions %d to %d", m.Version, formatVersion, byStemVersion)
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
