package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cespare/xxhash/v2"
)

// A Manifest names the segments of a generation.
type Manifest struct {
	Generation string       `json:"generation"`
	Segments   []SegmentRef `json:"segments"` // in key order
	// AppliedDelta is the newest change that all segments hold. Promote ignores it and
	// begins with the oldest index that a segment is classified at.
	AppliedDelta uint64 `json:"appliedDelta"`
}

// A SegmentRef names a segment and the checksum that Seal returned.
type SegmentRef struct {
	ID       string `json:"id"`
	Checksum uint64 `json:"checksum"`
}

const manifestName = "manifest.json"

// writeManifest replaces the manifest in dir durably. The first line of the file is a
// checksum of the rest. After a crash, Open removes the temporary file by its suffix, which
// renameio cannot set.
func writeManifest(dir string, m *Manifest) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, manifestName)
	f, err := os.OpenFile(path+openSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%016x\n%s", xxhash.Sum64(body), body)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+openSuffix))
	}
	if err := os.Rename(path+openSuffix, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// readManifest returns nil when there is no manifest.
func readManifest(dir string) (*Manifest, error) {
	buf, err := os.ReadFile(filepath.Join(dir, manifestName))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	const line = 17
	if len(buf) < line || string(buf[:line]) != fmt.Sprintf("%016x\n", xxhash.Sum64(buf[line:])) {
		return nil, corruptf("wrong checksum")
	}
	m := new(Manifest)
	if err := json.Unmarshal(buf[line:], m); err != nil {
		return nil, corruptf("%v", err)
	}
	return m, nil
}
